#!/usr/bin/env python
"""Speed of a training step against the released arithmetic, by turns in one process.

python tools/benchmarks/step.py --batch 8 --precision bf16
python tools/benchmarks/step.py --quick

Ours is SoCoAlgorithm, its moving average and LARS; the reference (released_step.py) has the same modules and
weights. Times are CPU time where there is one thread (others may use the machine), else those that pass.
"""

import argparse
import copy
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from arithmetic import Sketch, count_macs
from clock import REST, Clock, matmul_rate, seconds_of, spread
from mmengine.config import Config
from mmengine.registry import DefaultScope
from released_step import ReleasedStep
from torch.utils.flop_counter import FlopCounterMode

from mmsoco.arguments import positive
from mmsoco.config import read_config
from mmsoco.engine.optim_constructor import PretrainOptimConstructor
from mmsoco.errors import UserError, command
from mmsoco.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs/soco'
PARTS = ('target update', 'forward, online', 'forward, target', 'backward', 'optimizer', REST)
#: Learning rate and momentum of the target: small, so that all rounds have the same work to do.
LR, MOMENTUM = 0.01, 0.99


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure a step, and print a Markdown table.')
    parser.add_argument('--precision', choices=('fp32', 'bf16'), default='fp32', help='bf16: by autocast')
    parser.add_argument('--device', default='cpu', help='cpu (default) or cuda')
    parser.add_argument('--batch', type=positive, default=8, help='images (default 8)')
    parser.add_argument('--depth', type=int, choices=(18, 50, 101), default=50, help="the ResNet's (default 50)")
    parser.add_argument('--threads', type=positive, default=1, help='of the CPU (default 1)')
    parser.add_argument('--rounds', type=positive, default=5, help='in each of which both have their turn (default 5)')
    parser.add_argument('--quick', action='store_true', help='small views, ResNet-18, a batch of 2, 2 rounds: it works')
    parser.add_argument('--json', action='store_true', help='print the figures as JSON')
    return parser.parse_args()


@dataclass
class Step:
    """One way to do a training step.

    Attributes:
        update_target, loss, backward, optimize: What it consists of, in this order.
        clock: Knows the parts.
    """

    update_target: Callable[[], None]
    loss: Callable[[], torch.Tensor]
    backward: Callable[[torch.Tensor], None]
    optimize: Callable[[], None]
    clock: Clock

    def run(self) -> dict[str, float]:
        """A step; seconds by part."""
        self.clock.take()
        with self.clock.part('target update'):
            self.update_target()
        with self.clock.part('forward, online'):
            loss = self.loss()
        with self.clock.part('backward'):
            self.backward(loss)
        with self.clock.part('optimizer'):
            self.optimize()
        marks = self.clock.take()
        if loss.is_cuda:
            torch.cuda.synchronize(loss.device)
        return {name: seconds for name, seconds in seconds_of(marks).items() if name in PARTS}


def build_model(cfg: Config, device: str) -> torch.nn.Module:
    """The config's model in training, its weights from a fixed seed."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmsoco')):
        model = MODELS.build(cfg.model)
    logging.disable(logging.INFO)  # a line a parameter
    model.init_weights()
    logging.disable(logging.NOTSET)
    return model.to(device).train()


def random_batch(sketch: Sketch, images: int, device: str) -> dict:
    """Noise, and boxes of all sizes; the same in all rounds."""
    generator = torch.Generator().manual_seed(0)
    batch = sketch.batch(images)
    inputs = {name: torch.randn(view.shape, generator=generator).to(device) for name, view in batch['inputs'].items()}
    boxes = {}
    for name, sets in batch['boxes'].items():
        size = inputs[name].shape[-1]
        shape = next(iter(sets.values())).shape[:2]
        sides = size * (0.15 + 0.8 * torch.rand(*shape, 2, generator=generator))
        corner = (size - sides) * torch.rand(*shape, 2, generator=generator)
        boxes[name] = {'boxes': torch.cat([corner, corner + sides], dim=-1).to(device)}
    matches = {'boxes': {pair: torch.full((images,), sketch.num_proposals, device=device) for pair in sketch.pairs}}
    return dict(inputs=inputs, boxes=boxes, matches=matches)


def zero_and_backward(model: torch.nn.Module, loss: torch.Tensor) -> None:
    model.zero_grad()
    loss.backward()


def our_step(cfg: Config, model: torch.nn.Module, batch: dict, autocast: Callable, clock: Clock) -> Step:
    """The package's: what a training calls, with the gradient's norm and what undoes a step, without loader and DDP."""
    optimizer = PretrainOptimConstructor(
        dict(type='FiniteOptimWrapper', optimizer={**cfg.optim_wrapper.optimizer, 'lr': LR})
    )(model)
    layout = model.data_preprocessor.memory_format
    inputs = {name: view.contiguous(memory_format=layout) for name, view in batch['inputs'].items()}
    embed = lambda network, *_, **__: 'forward, target' if network is model.target else 'forward, online'  # noqa: E731
    clock.watch(model, 'embed', embed)

    def loss() -> torch.Tensor:
        with autocast():
            return model.parse_losses(model(**{**batch, 'inputs': inputs}, mode='loss'))[0]

    update = partial(model.update_target, MOMENTUM)
    return Step(update, loss, partial(zero_and_backward, model), optimizer.step, clock)


def released_step(cfg: Config, model: torch.nn.Module, batch: dict, autocast: Callable, clock: Clock) -> Step:
    """The reference."""
    extractor, lars = model.roi_head.bbox_roi_extractor, cfg.optim_wrapper.optimizer
    released = ReleasedStep(
        model.to(memory_format=torch.contiguous_format),
        bounds=extractor.max_sizes,
        output_size=extractor.output_size,
        lr=LR,
        **{key: lars[key] for key in ('momentum', 'weight_decay', 'trust', 'eps')},
    )
    inputs = {name: view.contiguous() for name, view in batch['inputs'].items()}
    embed = lambda network, *_: 'forward, target' if network is model.target else 'forward, online'  # noqa: E731
    clock.watch(released, 'embed', embed)

    def loss() -> torch.Tensor:
        with autocast():
            return released.loss(inputs, batch['boxes'], batch['matches'])

    update = partial(released.update_target, MOMENTUM)
    return Step(update, loss, partial(zero_and_backward, model), released.optimize, clock)


def macs_of(sketch: Sketch, cfg: Config) -> dict[str, float]:
    """MACs an image of both ways."""
    images = 2
    with sketch.mode:
        batch = sketch.batch(images)
        # The loss of the released way looks at values, and costs next to nothing.
        reference = ReleasedStep(sketch.model)
        with FlopCounterMode(display=False) as counter:
            predictions, targets = [], []
            for pairs in batch['matches'].values():
                for name in (name for pair in pairs for name in pair):
                    view, rows = batch['inputs'][name], batch['boxes'][name]['boxes']
                    predictions += reference.predict(view, rows)
                    with torch.no_grad():
                        targets += reference.embed(sketch.model.target, view, rows)
            sum(p.sum() for p in predictions).backward()
    return {'released': counter.get_total_flops() / 2 / images, 'ours': count_macs(Sketch(cfg))['step']}


def measure(
    cfg: Config, batch_size: int, precision: str, device: str, rounds: int, now: Callable[[], float], side: int
) -> dict:
    """Seconds a step of both ways, by part and in all, their ratio, and the share of the matmul rate.

    Args:
        cfg: Of a pretraining with an FPN and one set of boxes.
        now: Clock of a CPU.
        side: Of the matrices whose product is the machine's rate.

    Returns:
        ``seconds``, way -> part -> median, lowest and highest of the rounds; ``ratio`` of each
        round's steps; ``rate``, FLOP/s of matrix products; ``macs`` of an image, and the ``share``
        of the rate that they are done at, by way.
    """
    sketch = Sketch(cfg)
    batch = random_batch(sketch, batch_size, device)
    dtype = torch.bfloat16 if precision == 'bf16' else torch.float32
    kind = torch.device(device).type
    autocast = nullcontext if dtype is torch.float32 else partial(torch.autocast, kind, dtype)
    model = build_model(cfg, device)
    reference = copy.deepcopy(model)
    steps = {
        'released': released_step(cfg, reference, batch, autocast, Clock(device, now)),
        'ours': our_step(cfg, model, batch, autocast, Clock(device, now)),
    }
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in steps}
    rates = []
    for i in range(rounds + 1):
        for way in list(steps)[:: 1 if i % 2 else -1]:
            seconds = steps[way].run()
            if i:  # the first one chooses algorithms
                taken[way].append(seconds)
        if i:
            rates.append(matmul_rate(device, dtype, side, rounds=3, now=now))
    macs, rate = macs_of(sketch, cfg), median(rates)
    total = {way: [sum(seconds.values()) for seconds in all_] for way, all_ in taken.items()}
    by_part = {
        way: {part: spread([seconds.get(part, 0.0) for seconds in all_]) for part in PARTS}
        | {'step': spread(total[way])}
        for way, all_ in taken.items()
    }
    return dict(
        seconds=by_part,
        ratio=spread([a / b for a, b in zip(total['released'], total['ours'], strict=True)]),
        rate=spread(rates),
        macs=macs,
        share={way: 2 * macs[way] * batch_size / median(total[way]) / rate for way in steps},
    )


@contextmanager
def threads(count: int) -> Iterator[Callable[[], float]]:
    """Use so many threads of the CPU; the clock to measure by."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield time.process_time if count == 1 else time.perf_counter
    finally:
        torch.set_num_threads(before)


def shrink(cfg: Config) -> Config:
    """Views and MLPs so small that a step takes a moment."""
    views = cfg.train_dataloader.dataset.pipeline.multi_view.views
    for view in views.values():
        view.size = view.size * 2 // 7
    cfg.model.projector.hid_channels = cfg.model.predictor.hid_channels = 64
    return cfg


def with_spread(values: Mapping[str, float], unit: str = '') -> str:
    return f'{values["median"]:.3g}{unit} ({values["lowest"]:.3g} to {values["highest"]:.3g})'


def print_figures(figures: dict, label: str) -> None:
    """As Markdown."""
    seconds, ratio = figures['seconds'], figures['ratio']
    print(f'{label}; seconds, median (lowest to highest)\n')
    print('| | released arithmetic | ours |\n|---|---|---|')
    for part in (*PARTS, 'step'):
        print(f'| {part} | {with_spread(seconds["released"][part])} | {with_spread(seconds["ours"][part])} |')
    print(f'| GMAC an image | {figures["macs"]["released"] / 1e9:.1f} | {figures["macs"]["ours"] / 1e9:.1f} |')
    shares = (f'{100 * figures["share"][way]:.0f} %' for way in ('released', 'ours'))
    print(f'| share of the matmul rate | {" | ".join(shares)} |\n')
    rate = {key: value / 1e9 for key, value in figures['rate'].items()}
    print(f'{with_spread(ratio)} times as fast; matrix products run at {with_spread(rate, " GFLOP/s")}')


@command
def main() -> None:
    args = parse_args()
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        raise UserError('torch sees no CUDA device here; --device cpu measures the processor')
    depth, batch, rounds, side = args.depth, args.batch, args.rounds, 2048
    if args.quick:
        depth, batch, rounds, side = 18, 2, 2, 256
    cfg = read_config(CONFIGS / f'soco_r{depth}fpn_8xb256_100e_in1k.py')
    cfg = shrink(cfg) if args.quick else cfg
    if args.device.startswith('cuda'):
        side = 8192
    with threads(args.threads) as now:
        figures = measure(cfg, batch, args.precision, args.device, rounds, now, side)
    where = (
        torch.cuda.get_device_name(args.device) if args.device.startswith('cuda') else f'{args.threads} CPU thread(s)'
    )
    label = f'R{depth}-FPN, batch {batch}, {args.precision}, {where}, {rounds} rounds'
    label += ', --quick: says nothing of speed' if args.quick else ''
    if args.json:
        print(json.dumps({'run': label, **figures}, indent=1))
    else:
        print_figures(figures, label)


if __name__ == '__main__':
    main()
