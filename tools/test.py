#!/usr/bin/env python
"""Evaluate a detector.

python tools/test.py configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py work_dirs/NAME/iter_90000.pth
"""

import argparse

from mmsoco.config import add_config_arguments
from mmsoco.devices import DEVICES, use_device
from mmsoco.engine.launch import test
from mmsoco.engine.processes import LAUNCHERS, meet
from mmsoco.errors import command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint of a detector by its config.')
    add_config_arguments(parser)
    parser.add_argument('checkpoint')
    parser.add_argument('--out', help='write the metrics to this file, as JSON')
    parser.add_argument('--device', choices=DEVICES, help='where to compute (default: CUDA where it is there)')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='who started the processes')
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='run code that the checkpoint holds, if it needs any'
    )
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    if args.device == 'cuda':
        meet(args.launcher)  # a machine that has none tells the others
    use_device(args.device)
    test(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        out=args.out,
        options=args.cfg_options,
        launcher=args.launcher,
        trust_checkpoint=args.trust_checkpoint,
    )


if __name__ == '__main__':
    main()
