#!/usr/bin/env python
"""Selective search over a folder of pictures: raw proposals, every box it finds.

python data_pipelines/selective_search.py IMAGES OUT --jobs 8
"""

import argparse

from mmsoco.errors import command
from mmsoco.proposals.cli import folder_parser, propose
from mmsoco.proposals.selective_search import MODES, SearchParameters


def parse_args() -> argparse.Namespace:
    parser = folder_parser('Propose boxes for all pictures below a folder.')
    parser.add_argument('--mode', choices=MODES, default='single', help="single is the paper's (default)")
    parser.add_argument('--k', type=int, default=300, help='segmentation scale (default 300)')
    parser.add_argument('--sigma', type=float, default=0.9, help='smoothing in pixels (default 0.9)')
    parser.add_argument('--min-size', type=int, default=100, help='smallest segment in pixels (default 100)')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    propose(args, SearchParameters(args.mode, args.k, args.sigma, args.min_size))


if __name__ == '__main__':
    main()
