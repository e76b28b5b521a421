#!/usr/bin/env python
"""Train a config of mmsoco or of mmdet.

python tools/train.py configs/soco/soco_r50fpn_8xb256_400e_in1k.py --accumulate 16
"""

import argparse
import sys

from mmsoco.arguments import names, positive
from mmsoco.config import add_config_arguments
from mmsoco.devices import DEVICES, use_device
from mmsoco.engine.launch import train
from mmsoco.engine.precision import PRECISIONS
from mmsoco.engine.processes import LAUNCHERS, meet
from mmsoco.errors import command
from mmsoco.resources import named


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a config of mmsoco (pretraining) or of mmdet (fine-tuning).')
    add_config_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from the checkpoint given, or from the newest one in the work folder',
    )
    parser.add_argument(
        '--resume-anyway',
        action='store_true',
        help='go on also where the checkpoint is of a run with another schedule or other samples',
    )
    parser.add_argument(
        '--init',
        metavar='WEIGHTS',
        help=f'begin from these weights, of whichever tool ({named("docs/warm_start.md")})',
    )
    parser.add_argument(
        '--freeze',
        type=names,
        default=(),
        metavar='PART,PART',
        help='of a pretraining, leave these parts as they are loaded, such as backbone',
    )
    parser.add_argument(
        '--loaded-lr',
        type=float,
        metavar='FACTOR',
        help='of a pretraining, train what is loaded at this share of the rate, such as 0.1',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const=True,
        type=precision,
        metavar='fp16|bf16',
        help='mixed precision: fp16 with loss scaling (default for pretraining on CUDA), or bf16 (that of CPUs)',
    )
    parser.add_argument('--no-amp', dest='amp', action='store_false', help='no mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale a fine-tuning's learning rate to its images a step, from those it is made for",
    )
    parser.add_argument('--device', choices=DEVICES, help='where to compute (default: CUDA where it is there)')
    parser.add_argument(
        '--accumulate', type=positive, default=1, metavar='N', help='batches a process takes for one optimizer step'
    )
    parser.add_argument(
        '--compile', action='store_true', help='compile backbone, neck and head by torch.compile in the first steps'
    )
    parser.add_argument(
        '--recompute',
        type=names,
        default=(),
        metavar='PART,PART',
        help='keep fewer activations: those of these parts, such as backbone, are computed again in the backward pass',
    )
    parser.add_argument('--progress', action='store_true', help='show a progress bar on stderr')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='who started the processes')
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='run code that the checkpoint holds, if it needs any'
    )
    words = sys.argv[1:]
    for number, word in enumerate(words):
        # What follows a bare `--amp` may be the config.
        if word == '--amp' and words[number + 1 : number + 2] not in [[name] for name in PRECISIONS]:
            words[number] = '--amp='
    return parser.parse_args(words)


def precision(word: str) -> str | bool:
    """One of those that ``--amp`` takes; True of none."""
    if word and word not in PRECISIONS:
        raise argparse.ArgumentTypeError(f'{word} is none of {", ".join(PRECISIONS)}')
    return word or True


@command
def main() -> None:
    args = parse_args()
    if args.device == 'cuda':
        meet(args.launcher)  # a machine that has none tells the others
    use_device(args.device)
    train(
        args.config,
        args.work_dir,
        resume=args.resume,
        amp=args.amp,
        accumulate=args.accumulate,
        options=args.cfg_options,
        launcher=args.launcher,
        progress=args.progress,
        trust_checkpoint=args.trust_checkpoint,
        auto_scale_lr=args.auto_scale_lr,
        resume_anyway=args.resume_anyway,
        compile_parts=args.compile,
        recompute=args.recompute,
        init=args.init,
        freeze=args.freeze,
        loaded_lr=args.loaded_lr,
    )


if __name__ == '__main__':
    main()
