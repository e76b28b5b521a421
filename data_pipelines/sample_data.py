#!/usr/bin/env python
"""The quickstart's data: aerial tiles with boxes of trees, in COCO format.

python data_pipelines/sample_data.py work_dirs/quickstart/data
"""

import argparse

from mmsoco.errors import command
from mmsoco.quickstart.sample_data import make_sample_data


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Fetch the deepforest wheel from PyPI (20 MB, MIT licence) and cut its two aerial photos into '
        'tiles of 300 px, one place for training, the other for validation.'
    )
    parser.add_argument('out', help='folder to make')
    parser.add_argument('--wheel', help='use this file instead of downloading')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    for split, (tiles, boxes) in make_sample_data(args.out, args.wheel).items():
        print(f'{args.out}/{split}: {tiles} tiles, {boxes} boxes')


if __name__ == '__main__':
    main()
