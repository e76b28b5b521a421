#!/usr/bin/env python
"""How fast this machine trains: images/s, time by part, memory, and the share of the card's own matmul rate.

python tools/benchmarks/gpu.py --batch 128 --amp fp16
tools/torchrun.sh 8 tools/benchmarks/gpu.py --batch 256
python tools/benchmarks/gpu.py --device cpu --quick

It trains a config by mmsoco.engine.launch.train, for some steps, on images that it makes itself, and watches. Nothing
has to be there.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from arithmetic import CONFIG, Sketch, count_macs
from clock import matmul_rate
from measuring import MeasureHook
from mmengine.config import Config
from photos import HEIGHT, WIDTH, make_photo

from mmsoco.arguments import names, positive
from mmsoco.config import read_config
from mmsoco.engine.launch import train
from mmsoco.engine.precision import in_tf32
from mmsoco.errors import UserError, command
from mmsoco.proposals.generators.grid import GridBoxes
from mmsoco.proposals.store import ProposalRow, write_proposals

#: So many of the images that are made differ; the others are the same files again.
DIFFERENT = 64
MULTI_VIEW = 'train_dataloader.dataset.pipeline.multi_view'
VIEWS = f'{MULTI_VIEW}.views'
PHOTOMETRY = ('loader', 'device')
#: What ``--quick`` changes: a ResNet-18, small views and MLPs.
QUICK = {
    'model.backbone.depth': 18,
    'model.neck.in_channels': [64, 128, 256, 512],
    'model.projector.hid_channels': 64,
    'model.predictor.hid_channels': 64,
    f'{VIEWS}.v1.size': 64,
    f'{VIEWS}.v2.size': 64,
    f'{VIEWS}.v3.size': 32,
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train for some steps, watch, and print Markdown.')
    parser.add_argument('--config', default=str(CONFIG), help='a pretraining (default: the paper, R50-FPN, 100 epochs)')
    parser.add_argument('--batch', type=positive, default=64, help='images of a process and step (default 64)')
    parser.add_argument('--accumulate', type=positive, default=1, metavar='N', help='such batches a step (default 1)')
    parser.add_argument('--amp', choices=('no', 'fp16', 'bf16'), help='precision (default: fp16 on CUDA, else no)')
    parser.add_argument('--compile', action='store_true', help='as tools/train.py --compile')
    parser.add_argument(
        '--recompute', type=names, default=(), metavar='PART,PART', help='as tools/train.py --recompute'
    )
    parser.add_argument(
        '--photometry', choices=PHOTOMETRY, help='where colours are changed (default: on CUDA the device)'
    )
    parser.add_argument('--steps', type=positive, default=20, help='that are measured, after 5 others (default 20)')
    parser.add_argument('--workers', type=int, help="of each process' loader (default: the config's)")
    parser.add_argument('--data', metavar='PROPOSALS', help='a proposal file, whose images are read (default: made)')
    parser.add_argument('--images', metavar='FOLDER', help="where --data's images are, if not where they were")
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda', help='cpu: to try the benchmark itself')
    parser.add_argument('--quick', action='store_true', help='a small model, a batch of 2, 2 steps: it works')
    parser.add_argument('--json', action='store_true', help='print the figures as JSON')
    return parser.parse_args()


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """A temporary folder that the processes of this machine share; the first of them makes and removes it."""
    if 'LOCAL_RANK' not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    run = os.environ.get('MASTER_PORT', '')
    folder = Path(tempfile.gettempdir(), f'mmsoco-gpu-{os.getuid()}-{run}')
    first = os.environ['LOCAL_RANK'] == '0'
    if first:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        if first:
            shutil.rmtree(folder, ignore_errors=True)


def make_images(folder: Path, count: int) -> Path:
    """JPEGs as large as ImageNet's, and a file of grid boxes; its path."""
    out = folder / 'proposals.arrow'
    if os.environ.get('LOCAL_RANK', '0') != '0':
        end = time.monotonic() + 300
        while not out.exists():
            if time.monotonic() > end:
                raise UserError(f'{out} does not come: the first process of this machine makes it; see what it says')
            time.sleep(0.2)
        return out
    images = folder / 'images'
    images.mkdir()
    rng = np.random.default_rng(0)
    names = [f'{i}.jpg' for i in range(count)]
    for name in names[:DIFFERENT]:
        make_photo(rng, images / name)
    for i, name in enumerate(names[DIFFERENT:]):
        os.link(images / names[i % DIFFERENT], images / name)
    boxes = GridBoxes().propose(np.empty((HEIGHT, WIDTH, 3), np.uint8), '')
    rows = (ProposalRow(name, WIDTH, HEIGHT, boxes) for name in names)
    write_proposals(out, rows, {'root': str(images)})
    return out


def hook_of(args: argparse.Namespace) -> MeasureHook:
    """A hook like the one that measures."""
    return MeasureHook(warmup=1 if args.quick else 5, steps=args.steps)


def options_of(args: argparse.Namespace, cfg: Config, data: Path, root: str | None, total: int) -> dict:
    """``--cfg-options`` that make a config the measured training.

    Args:
        cfg: The config, as it is.
        data, root: The proposal file, and the folder of its images if it is not the file's own.
        total: Images a step.
    """
    hook = hook_of(args)
    options = {
        'total_batch_size': total,
        'train_cfg': dict(_delete_=True, type='PretrainLoop', max_steps=hook.total),
        'train_dataloader.dataset.proposal_file': str(data),
        'train_dataloader.dataset.data_root': root,
        # Nothing is to be kept, and no held-out images are there.
        'default_hooks.checkpoint': dict(by_epoch=False, interval=10**9, save_last=False),
        'default_hooks.learning_rate.warmup_epochs': 0.5,
        'default_hooks.measure': dict(type='MeasureHook', warmup=hook.warmup, steps=hook.steps),
    }
    if 'warmup_share' in cfg.default_hooks.learning_rate:
        options.pop('default_hooks.learning_rate.warmup_epochs')
    if 'probe' in cfg.default_hooks:
        options['default_hooks.probe'] = None
    if args.photometry is not None:
        options[f'{MULTI_VIEW}.photometry'] = args.photometry
    if args.workers is not None:
        options['train_dataloader.num_workers'] = args.workers
    return options | (QUICK if args.quick else {})


def describe_machine(device: str) -> dict:
    """What the figures are of."""
    about = dict(torch=torch.__version__, processes=int(os.environ.get('WORLD_SIZE', 1)), cpus=os.cpu_count())
    if device == 'cpu':
        return dict(device='CPU (no GPU was measured)', threads=torch.get_num_threads(), **about)
    return dict(
        device=torch.cuda.get_device_name(),
        capability='.'.join(map(str, torch.cuda.get_device_capability())),
        memory_gb=round(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / 1e9, 1),
        driver=driver_version(),
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        tf32=[name for name, it_is in in_tf32(torch.device(device)).items() if it_is],
        **about,
    )


def driver_version() -> str | None:
    """NVIDIA's, as its kernel module says it."""
    try:
        words = Path('/proc/driver/nvidia/version').read_text().splitlines()[0].split()
    except OSError:
        return None
    return next((word for word in words if word.replace('.', '').isdigit() and '.' in word), None)


def measure(args: argparse.Namespace, folder: Path) -> dict | None:
    """Train and watch; what there is to print, in the first process only."""
    world = int(os.environ.get('WORLD_SIZE', 1))
    total = args.batch * args.accumulate * world
    # Ends of epochs, which wait for the device, are not to come more often than in ImageNet.
    data = Path(args.data) if args.data else make_images(folder, total * hook_of(args).total)
    cfg = read_config(args.config)
    root = args.images if args.data else str(folder / 'images')
    amp = args.amp or ('fp16' if args.device == 'cuda' else 'no')
    options = options_of(args, cfg, data, root, total)
    runner = train(
        args.config,
        str(folder / 'run'),
        amp=False if amp == 'no' else amp,
        accumulate=args.accumulate,
        compile_parts=args.compile,
        recompute=args.recompute,
        options=options,
        launcher='pytorch' if 'TORCHELASTIC_RUN_ID' in os.environ else 'none',
    )
    hook = next(hook for hook in runner.hooks if isinstance(hook, MeasureHook))
    if runner.rank != 0:
        return None
    macs = count_macs(Sketch(runner.cfg))['step']
    dtype = {'no': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}[amp]
    rate = matmul_rate(args.device, dtype, side=8192 if args.device == 'cuda' else 512)
    # Where convolutions are in TF32 and products are not, these are no measure of those.
    comparable = dtype is not torch.float32 or len(set(in_tf32(torch.device(args.device)).values())) < 2
    flops = 2 * macs * hook.images_per_second / world
    return dict(
        machine=describe_machine(args.device),
        run=dict(config=Path(args.config).stem, batch=args.batch, accumulate=args.accumulate, amp=amp, steps=args.steps)
        | dict(compile=args.compile, recompute=list(args.recompute), photometry=args.photometry or 'default')
        | dict(workers=runner.cfg.train_dataloader.num_workers, quick=args.quick),
        images_per_second=hook.images_per_second,
        seconds=hook.parts,
        collectives=hook.collectives,
        memory=None
        if hook.allocated is None
        else dict(allocated=hook.allocated, reserved=hook.reserved, per_image=hook.allocated / args.batch),
        gmac_per_image=macs / 1e9,
        flops_per_device=flops,
        matmul_rate=rate,
        share=flops / rate if comparable else None,
    )


def print_figures(figures: dict) -> None:
    """As Markdown."""
    print(', '.join(f'{key} {value}' for key, value in figures['machine'].items()))
    print(', '.join(f'{key} {value}' for key, value in figures['run'].items()))
    if figures['run']['quick']:
        print('--quick: says nothing of speed')
    parts = dict(figures['seconds'])
    step = parts.pop('step')
    print('\n| part | ms a step: median (lowest to highest) | share |\n|---|---|---|')
    for name, part in {**dict(sorted(parts.items(), key=lambda item: -item[1]['median'])), 'step': step}.items():
        low, middle, high = (1000 * part[key] for key in ('lowest', 'median', 'highest'))
        print(f'| {name} | {middle:.1f} ({low:.1f} to {high:.1f}) | {100 * part["median"] / step["median"]:.1f} % |')
    print()
    if figures['collectives'] is None:
        print('collectives: none, one process')
    else:
        print(f'collectives, in part beside the above: {1000 * figures["collectives"]:.1f} ms a step')
    if memory := figures['memory']:
        gb = {key: value / 1e9 for key, value in memory.items()}
        print(f'memory at most: {gb["allocated"]:.2f} GB allocated, {gb["reserved"]:.2f} GB reserved')
        print(f'allocated, divided by the batch: {1000 * gb["per_image"]:.0f} MB')
    print(f'{figures["images_per_second"]:.1f} images/s at {figures["gmac_per_image"]:.1f} GMAC each')
    tera = figures['flops_per_device'] / 1e12, figures['matmul_rate'] / 1e12
    if figures['share'] is None:
        print(
            f'{tera[0]:.3g} TFLOP/s a device; its convolutions are in TF32, its matrix products not: no share of these'
        )
        return
    print(f'{tera[0]:.3g} TFLOP/s a device, {100 * figures["share"]:.0f} % of the {tera[1]:.3g} of its matrix products')


@command
def main() -> None:
    args = parse_args()
    if args.device == 'cpu':
        # Before torch looks for cards.
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
        if args.amp == 'fp16':
            raise UserError('--amp fp16 is for CUDA; on a CPU use --amp bf16')
    elif not torch.cuda.is_available():
        raise UserError('torch sees no CUDA device here; to try the benchmark itself: --device cpu --quick')
    if args.quick:
        if args.config != str(CONFIG):
            raise UserError('--quick has a model of its own; leave --config out')
        args.batch, args.steps, args.workers = 2, 2, 0
    # The training's log does not go where the figures do.
    with shared_folder() as folder, contextlib.redirect_stdout(sys.stderr):
        figures = measure(args, folder)
    if figures is not None and args.json:
        print(json.dumps(figures, indent=1))
    elif figures is not None:
        print_figures(figures)


if __name__ == '__main__':
    main()
