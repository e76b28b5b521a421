#!/usr/bin/env python
"""The quickstart's data: sheets with handwritten digits, some with boxes in COCO format.

python data_pipelines/sample_data.py work_dirs/quickstart/data
"""

import argparse

from mmsoco.errors import command
from mmsoco.quickstart.sample_data import make_sample_data


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Fetch scikit-learn's wheel from PyPI (10 MB), and put its handwritten digits (UCI, CC BY 4.0) "
        'onto sheets of 128 px: 400 for training, of which 40 have boxes, and 60 for validation.'
    )
    parser.add_argument('out', help='folder to make')
    parser.add_argument('--wheel', help='use this file instead of downloading')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    for split, (sheets, labelled, boxes) in make_sample_data(args.out, args.wheel).items():
        print(f'{args.out}/{split}: {sheets} sheets, {labelled} of them labelled with {boxes} boxes')


if __name__ == '__main__':
    main()
