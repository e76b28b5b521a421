#!/usr/bin/env python
"""From raw proposals to the file that training reads.

python data_pipelines/filter_proposals.py RAW OUT.arrow
"""

import argparse

from mmsoco.errors import command
from mmsoco.files import check_out
from mmsoco.images.lists import read_list
from mmsoco.proposals.filters import ProposalFilter, filter_folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Keep the boxes that the paper's rules keep. Where no box passes, the rules are loosened step by "
        'step, down to the whole image, so that every image has a box.'
    )
    parser.add_argument('raw', help='folder that mmsoco search or random-proposals wrote')
    parser.add_argument('out', help='proposal file, for instance data/proposals.arrow')
    parser.add_argument('--aspect', type=float, default=3.0, help='largest ratio of the sides (default 3)')
    parser.add_argument(
        '--size',
        type=float,
        nargs=2,
        default=(0.3, 0.8),
        metavar=('LOW', 'HIGH'),
        help='range of sqrt(box area / image area) (default 0.3 0.8); lower it where objects are small',
    )
    parser.add_argument('--min-side', type=float, default=32.0, help='smallest side in pixels (default 32)')
    parser.add_argument('--list', metavar='FILE', help='take only these images of those that were searched')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    if args.list is not None:
        check_out(args.out, args.list, what='the list to read')
    rules = ProposalFilter(args.aspect, tuple(args.size), args.min_side)
    served = filter_folder(args.raw, args.out, rules, None if args.list is None else read_list(args.list))
    print(f'{args.out}: {sum(served.values())} images')
    for stage, count in served.items():
        print(f'  kept by {stage}: {count}')


if __name__ == '__main__':
    main()
