#!/usr/bin/env python
"""Selective search over a folder of pictures: raw proposals, every box it finds.

python data_pipelines/selective_search.py IMAGES OUT --jobs 8
"""

import argparse
import os

from tqdm import tqdm

from mmsoco.errors import command
from mmsoco.proposals.selective_search import MODES, SearchParameters, search_folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Propose boxes for all pictures below a folder. A second run goes on where the first stopped.'
    )
    parser.add_argument('images', help='folder of pictures, searched recursively')
    parser.add_argument('out', help='folder for the raw proposals; data_pipelines/filter_proposals.py comes next')
    parser.add_argument('--mode', choices=MODES, default='single', help="single is the paper's (default)")
    parser.add_argument('--k', type=int, default=300, help='segmentation scale (default 300)')
    parser.add_argument('--sigma', type=float, default=0.9, help='smoothing in pixels (default 0.9)')
    parser.add_argument('--min-size', type=int, default=100, help='smallest segment in pixels (default 100)')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='processes (default: one a core)')
    parser.add_argument('--shard-size', type=int, default=1000, help='pictures a file (default 1000)')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    with tqdm(unit='picture', dynamic_ncols=True) as bar:

        def on_picture(done: int, total: int, failure: str | None) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if failure is not None:
                bar.write(f'skipped: {failure}')

        count, failures = search_folder(
            args.images,
            args.out,
            SearchParameters(args.mode, args.k, args.sigma, args.min_size),
            args.jobs,
            args.shard_size,
            on_picture,
        )
    print(f'{args.out}: proposals of {count} pictures; {len(failures)} could not be read')


if __name__ == '__main__':
    main()
