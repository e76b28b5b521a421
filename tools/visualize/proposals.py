#!/usr/bin/env python
"""Proposals on their images, and their distributions (paper, figures 2 and 3).

python tools/visualize/proposals.py work_dirs/proposals RAW FILTERED.arrow
"""

import argparse
import json
from pathlib import Path

from mmsoco.arguments import positive
from mmsoco.errors import UserError, command
from mmsoco.files import atomic_path, check_out
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.source import files_of, read_raw
from mmsoco.visualization.drawing import write_image
from mmsoco.visualization.proposals import choose_rows, draw_proposals, measure, plot_statistics


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw a sheet of images with some of their boxes for each source, and the distributions of boxes '
        'an image and of their sizes for all: before and after the filter, or of two ways to propose.'
    )
    parser.add_argument('out', help='folder for NAME.png of each source, distributions.png and distributions.json')
    parser.add_argument('sources', nargs='+', metavar='SOURCE', help='folder of raw proposals, or proposal file')
    parser.add_argument('--images', metavar='FOLDER', help='folder of the images (default: as the source says)')
    parser.add_argument(
        '--count', '--pictures', dest='count', type=positive, default=16, help='images on a sheet (default 16)'
    )
    parser.add_argument('--boxes', type=positive, default=12, help='most boxes to draw on an image (default 12)')
    parser.add_argument('--seed', type=int, default=0, help='other seed, other images and boxes (default 0)')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    out = Path(args.out)
    if out.is_file() or any(out.glob('shard-*.arrow')):
        raise UserError(f'{out} holds proposals; the folder for the figures comes first, then the sources')
    if args.seed < 0:
        raise UserError(f'seed {args.seed} is not 0 or more')
    names = [Path(source).resolve().stem for source in args.sources]
    if len(set(names)) < len(names):
        raise UserError(f'two sources are called {max(names, key=names.count)}; draw them in two runs, to two folders')
    read = [path for source in args.sources for path in files_of(source)]
    for name in (*(f'{name}.png' for name in names), 'distributions.png', 'distributions.json'):
        check_out(out / name, *read)
    if 'distributions' in names:
        raise UserError('a source is called distributions, as the plot of all of them is; name it otherwise')
    statistics = {}
    for name, source in zip(names, args.sources, strict=True):
        statistics[name] = measure(source)
        header = read_raw(source)[0]
        images = ImageRoot.of(header, args.images or header['root'])
        rows = choose_rows(source, len(statistics[name].counts), args.count, args.seed)
        check_out(
            out / f'{name}.png', *(images.place(row.file_name).path for row in rows), what='an image that is drawn'
        )
        write_image(out / f'{name}.png', draw_proposals(rows, images, args.boxes, seed=args.seed))
        print(f'{out / name}.png: {statistics[name]}')
    plot_statistics(statistics, out / 'distributions.png')
    with atomic_path(out / 'distributions.json') as temporary:
        temporary.write_text(json.dumps({name: s.describe() for name, s in statistics.items()}, indent=1) + '\n')
    print(out / 'distributions.png')


if __name__ == '__main__':
    main()
