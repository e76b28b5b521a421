#!/usr/bin/env python
"""Measure mean and standard deviation of the images' channels, for the configs of pretraining and detector.

python data_pipelines/channel_statistics.py PROPOSALS.arrow
"""

import argparse
import json

import joblib
from tqdm import tqdm

from mmsoco.arguments import positive
from mmsoco.errors import command
from mmsoco.files import atomic_path, check_out
from mmsoco.proposals.channel_statistics import measure_channels


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Read the images of a proposal file as training does, and print the mean and the standard '
        'deviation of each channel, over all pixels, as a line for the config.'
    )
    parser.add_argument('proposals', help='proposal file, as mmsoco filter writes it')
    parser.add_argument('--images', metavar='DIR', help='folder of the images (default: the one that the file names)')
    parser.add_argument('--sample', type=positive, metavar='N', help='read only N images, drawn at random')
    parser.add_argument(
        '--jobs', type=positive, default=joblib.cpu_count(), help='processes on this machine (default: one a core)'
    )
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    if args.json is not None:
        check_out(args.json, args.proposals, what='the proposal file to read')
    with tqdm(unit='image', dynamic_ncols=True) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = measure_channels(args.proposals, args.images, args.sample, args.jobs, on_progress)
    if args.json is not None:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(found.describe(), indent=1) + '\n')
    print(f'{found.images} images, {found.pixels} pixels; {len(found.unreadable)} could not be read')
    for name, reason in list(found.unreadable.items())[:5]:
        print(f'  {name}: {reason}')
    if len(found.unreadable) > 5:
        print(f'  and {len(found.unreadable) - 5} more')
    still = [str(i) for i, value in enumerate(found.std, 1) if value == 0]
    if still:
        print(
            f'one value in all images, of which nothing is learned, in channel {", ".join(still)}; std 1 stands there'
        )
    mean, std = ([round(value, 3) for value in values] for values in (found.mean, found.std))
    print(f'data_preprocessor=dict(mean={mean}, std={[value or 1.0 for value in std]})')


if __name__ == '__main__':
    main()
