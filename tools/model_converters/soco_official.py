#!/usr/bin/env python
"""Convert a checkpoint of the official SoCo code to mmsoco's, or back.

python tools/model_converters/soco_official.py SoCo_FPN_100ep.pth soco_r50fpn_100e.pth
"""

import argparse

from mmsoco.checkpoints.official import convert
from mmsoco.errors import command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Weights of both networks, momenta and the epoch go along: train.py --resume OUT goes on, '
        'extract_backbone.py takes the detector out. A file that holds code is refused.'
    )
    parser.add_argument('checkpoint', metavar='IN')
    parser.add_argument('out', metavar='OUT', help='file to write, ending in .pth')
    parser.add_argument('--reverse', action='store_true', help="from mmsoco's to the official code's")
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='run code that the checkpoint holds, if it needs any'
    )
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    table = convert(args.checkpoint, args.out, args.reverse, trust_checkpoint=args.trust_checkpoint)
    print(f'{table}\nwritten to {args.out}')


if __name__ == '__main__':
    main()
