#!/usr/bin/env python
"""Find images that look almost alike, as frames of a video, and list the images without them.

python data_pipelines/near_duplicates.py IMAGES --out data/list.txt --against EVALUATION
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import joblib
from tqdm import tqdm

from mmsoco.arguments import positive
from mmsoco.errors import UserError, command, one_line
from mmsoco.files import atomic_path, check_out
from mmsoco.images.arguments import add_reading_arguments, reading_of
from mmsoco.images.finding import Found, common_root, find_images, report
from mmsoco.images.lists import ImageList, check_listable, locate, read_list, write_list
from mmsoco.images.names import FolderNames
from mmsoco.images.near_duplicates import (
    DISTANCE,
    Hashes,
    NearDuplicate,
    hash_images,
    near_each_other,
    near_evaluation,
    read_evaluation,
)
from mmsoco.images.reading import Reading

SHOWN = 10


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Group images that look almost alike, by a perceptual hash, and keep the first of each group.'
    )
    parser.add_argument('images', nargs='+', help='folders of images, or archives (.zip, .tar)')
    parser.add_argument('--list', metavar='FILE', help='take only these images, in this order')
    parser.add_argument(
        '--out', metavar='FILE', help='list to write: one image of each group, for --list of the search'
    )
    parser.add_argument(
        '--groups', metavar='CSV', help='file to write: each image that is left out, for which, and why'
    )
    parser.add_argument(
        '--against',
        nargs='+',
        metavar='WHAT',
        help='leave out what is near images that a model will be measured on: their folder, or COCO JSON or a list '
        '(.txt) and, if it is another one, the folder of their images',
    )
    parser.add_argument(
        '--distance', type=int, default=DISTANCE, help=f'of 256 bits, so many may differ (default {DISTANCE})'
    )
    add_reading_arguments(parser)
    parser.add_argument('--jobs', type=positive, default=joblib.cpu_count(), help='processes (default: one a core)')
    return parser.parse_intermixed_args()


def hashed(root: Path, names: Sequence[str], jobs: int, reading: Reading) -> Hashes:
    """Hashes, with a progress bar; prints what has none."""
    with tqdm(total=len(names), unit='image', dynamic_ncols=True) as bar:
        hashes = hash_images(root, names, jobs, bar.update, reading)
    if hashes.failures:
        name, reason = next(iter(hashes.failures.items()))
        count = f'{len(hashes.failures)} of {len(names)}'
        print(f'{count} images cannot be read, and are left out; first {one_line(name)}: {reason}')
    if hashes.flat:
        print(
            f'{len(hashes.flat)} of {len(names)} images are of one color; as all of these are alike, none is compared'
        )
    return hashes


def evaluation(against: Sequence[str], root: Path, jobs: int, reading: Reading) -> Hashes:
    """Hashes of the images to be measured on."""
    if len(against) > 2:
        raise UserError(f'--against takes one or two paths, not {len(against)}; list what else there is in a file')
    theirs = read_evaluation(against[0], against[-1] if len(against) > 1 else root)
    if theirs.missing:
        count = f'{len(theirs.missing)} of {len(theirs.missing) + len(theirs.names)}'
        first = one_line(theirs.missing[0])
        print(f'{count} images of {against[0]} are not in {theirs.root}, and not compared; first {first}')
    hashes = hashed(theirs.root, theirs.names, jobs, reading)
    if not hashes.names:
        raise UserError(f'of {against[0]}, no image could be read and compared; name the folder of its images after it')
    return hashes


def show(rows: Sequence[NearDuplicate]) -> None:
    """Print some groups."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row.near, []).append(f'{one_line(row.left_out)} ({row.distance})')
    for first, others in list(groups.items())[:SHOWN]:
        more = f' and {len(others) - SHOWN} more' if len(others) > SHOWN else ''
        print(f'  {one_line(first)}: {", ".join(others[:SHOWN])}{more}')
    if len(groups) > SHOWN:
        print(f'  and {len(groups) - SHOWN} more; --groups FILE writes all')


@command
def main() -> None:
    args = parse_args()
    if not 0 <= args.distance < 128:
        raise UserError(f'a distance of {args.distance} finds none, or what is as near by chance; give 0 to 127')
    reading = reading_of(args)
    for path in filter(None, (args.out, args.groups)):
        check_out(path, *filter(None, [args.list, *(args.against or ())]), what='a file to read')
    if args.list is None:
        found = find_images(*args.images)
        report(found)
    else:
        root = common_root(args.images)
        found = Found(root, locate(read_list(args.list), FolderNames(root)).names)
    if args.out:
        check_listable(found.names, args.out)
    hashes = hashed(found.root, found.names, args.jobs, reading)
    rows = []
    if args.against:
        theirs = evaluation(args.against, found.root, args.jobs, reading)
        rows = near_evaluation(hashes, theirs, args.distance)
        print(f'{len(rows)} images are near one of {len(theirs.names)} to be measured on, and left out')
        show(rows)
    left_out = {row.left_out for row in rows}
    with tqdm(total=len(hashes.names) - len(left_out), unit='hash', dynamic_ncols=True, leave=False) as bar:
        near = near_each_other(hashes, args.distance, left_out, bar.update)
    print(f'{len(near)} images are near-duplicates of one before them, and left out (bits that differ, of 256):')
    show(near)
    rows += near
    if args.groups:
        with atomic_path(args.groups) as temporary, temporary.open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerow(NearDuplicate._fields)
            writer.writerows(rows)
    if args.out:
        left_out = {row.left_out for row in rows} | hashes.failures.keys()
        kept = [name for name in found.names if name not in left_out]
        title = f'{len(kept)} of {len(found.names)} images, without near-duplicates (distance {args.distance})'
        write_list(args.out, ImageList(title, kept))
        print(f'{args.out}: {title}')


if __name__ == '__main__':
    main()
