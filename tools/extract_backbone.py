#!/usr/bin/env python
"""Take backbone, FPN and box head out of a pretraining checkpoint.

python tools/extract_backbone.py work_dirs/NAME/epoch_100.pth soco_r50fpn.safetensors
"""

import argparse

from mmsoco.checkpoints.extract import TARGETS, extract
from mmsoco.errors import command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Write the online network's weights of the parts that a detector has, under the names it gives "
        'them. Nothing else goes along: no optimizer, no target network.'
    )
    parser.add_argument('checkpoint')
    parser.add_argument('out', help='file to write, ending in .pth or .safetensors')
    parser.add_argument(
        '--target', default='mmdet', metavar='T', help=f'whose names: {", ".join(TARGETS)} (default mmdet)'
    )
    parser.add_argument('--hash', action='store_true', help="add the file's SHA-256 to its name")
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    path, table = extract(args.checkpoint, args.out, args.target, args.hash)
    print(f'{table}\nwritten to {path}')


if __name__ == '__main__':
    main()
