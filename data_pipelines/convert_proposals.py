#!/usr/bin/env python
"""Boxes of other tools into a proposal file, or out of one; the ending .arrow tells which side is ours.

python data_pipelines/convert_proposals.py boxes.json data/proposals.arrow --images IMAGES
python data_pipelines/convert_proposals.py data/proposals.arrow boxes.csv
"""

import argparse
from pathlib import Path

import joblib
from tqdm import tqdm

from mmsoco.arguments import positive
from mmsoco.errors import UserError, command
from mmsoco.files import check_out
from mmsoco.images.arguments import add_reading_arguments, reading_of
from mmsoco.images.lists import read_list
from mmsoco.proposals.convert import Choice, export_boxes, import_boxes
from mmsoco.proposals.registry import FORMATS

#: Images that cannot be read are named up to so many; all are in the file's header.
LISTED = 20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make a proposal file of boxes from elsewhere (the official code, COCO annotations or results, '
        "mmdet's proposal pickle, SAM's JSON, CSV), or write one's boxes for another tool."
    )
    parser.add_argument('source', help="file of boxes (of SAM's also their folder), or a proposal file (.arrow)")
    parser.add_argument('out', help='proposal file (.arrow), or the file for another tool')
    parser.add_argument(
        '--images', metavar='FOLDER', help='folder (or zip, tar) of the images; needed to make a proposal file'
    )
    parser.add_argument(
        '--format', choices=FORMATS, help="the other side's format (default: as its name and content say)"
    )
    parser.add_argument('--annotations', metavar='JSON', help='COCO file with the images that results refer to')
    parser.add_argument('--list', metavar='FILE', help='take only these images')
    parser.add_argument('--min-score', type=float, metavar='S', help='take only boxes with at least this score')
    parser.add_argument('--top', type=positive, metavar='N', help='take only the best N boxes of an image')
    parser.add_argument('--clip', action='store_true', help='cut boxes that leave their image instead of refusing')
    add_reading_arguments(parser.add_argument_group('how images are read in training'))
    parser.add_argument('--jobs', type=positive, default=joblib.cpu_count(), help='processes (default: one a core)')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    ours = [Path(path).suffix == '.arrow' for path in (args.source, args.out)]
    if ours == [True, False]:
        if args.list or args.min_score is not None or args.top or args.clip or args.images:
            raise UserError('--images, --list, --min-score, --top and --clip are for making a proposal file')
        count = export_boxes(args.source, args.out, args.format, annotations=args.annotations)
        print(f'{args.out}: boxes of {count} images')
        return
    if ours != [False, True]:
        raise UserError('name one proposal file (.arrow) and one of another format; raw proposals are filtered first')
    if args.images is None:
        raise UserError('name the folder of the images by --images')
    if args.list is not None:
        check_out(args.out, args.list, what='the list to read')
    with tqdm(desc='sizes', unit='image', dynamic_ncols=True, delay=1) as bar:

        def on_progress(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        done = import_boxes(
            args.source,
            args.out,
            args.images,
            kind=args.format,
            annotations=args.annotations,
            image_list=None if args.list is None else read_list(args.list),
            choice=Choice(args.min_score, args.top, args.clip),
            jobs=args.jobs,
            reading=reading_of(args),
            on_progress=on_progress,
        )
    print(f'{args.out}: {done.boxes} boxes of {done.images} images')
    for note in done.notes:
        print(f'  {note}')
    for reason, count in done.left_out.items():
        print(f'  {count} boxes left out: {reason}')
    if done.empty:
        print(f'  {done.empty} of them without a box: training takes the whole image')
    if done.without:
        print(f'  {done.without} images of the folder are not named, and left out')
    for line in done.found.lines():
        print(f'  {line}')
    if done.failures:
        print(f'  {len(done.failures)} images left out, as they cannot be read:')
    for name, reason in list(done.failures.items())[:LISTED]:
        print(f'    {name}: {reason}')
    if len(done.failures) > LISTED:
        print(f'    and {len(done.failures) - LISTED} more')


if __name__ == '__main__':
    main()
