#!/usr/bin/env python
"""Random boxes in place of selective search (paper, table 5c): raw proposals to be filtered like any other.

python data_pipelines/random_proposals.py IMAGES OUT
"""

import argparse

from mmsoco.errors import command
from mmsoco.proposals.cli import folder_parser, positive, propose
from mmsoco.proposals.random_boxes import RandomBoxes


def parse_args() -> argparse.Namespace:
    parser = folder_parser('Draw random boxes for all pictures below a folder.')
    parser.add_argument('--count', type=positive, default=200, help='boxes a picture, before the filter (default 200)')
    parser.add_argument(
        '--seed', type=int, default=0, metavar='S', help='0 or more; other seed, other boxes (default 0)'
    )
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    propose(args, RandomBoxes(args.count, args.seed))


if __name__ == '__main__':
    main()
