#!/usr/bin/env python
"""Train a config of mmsoco or of mmdet.

python tools/train.py configs/soco/soco_r50fpn_8xb256_400e_in1k.py --accumulate 16
"""

import argparse

from mmsoco.arguments import positive
from mmsoco.config import add_config_arguments
from mmsoco.engine.launch import LAUNCHERS, train
from mmsoco.errors import command


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
        '--amp',
        action=argparse.BooleanOptionalAction,
        help='mixed precision (default: for pretraining on CUDA)',
    )
    parser.add_argument(
        '--accumulate', type=positive, default=1, metavar='N', help='batches a process takes for one optimizer step'
    )
    parser.add_argument(
        '--compile', action='store_true', help='compile backbone, neck and head by torch.compile in the first steps'
    )
    parser.add_argument(
        '--recompute',
        nargs='+',
        default=(),
        metavar='PART',
        help='keep fewer activations: those of these parts, such as backbone, are computed again in the backward pass',
    )
    parser.add_argument('--progress', action='store_true', help='show a progress bar on stderr')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='who started the processes')
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='run code that the checkpoint holds, if it needs any'
    )
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
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
        compile_parts=args.compile,
        recompute=args.recompute,
    )


if __name__ == '__main__':
    main()
