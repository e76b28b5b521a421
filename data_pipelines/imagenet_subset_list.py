#!/usr/bin/env python
"""Draw a part of ImageNet-1k as large as COCO (paper, table 9).

python data_pipelines/imagenet_subset_list.py data/imagenet/train data/imagenet/subset.txt
"""

import argparse

from mmsoco.errors import command
from mmsoco.images.finding import find_images, report
from mmsoco.images.lists import COCO, ImageList, sample_names, write_list


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f'Draw images of ImageNet-1k at random, as many as COCO has in train2017 and unlabeled2017 '
        f'together ({COCO:,}).'
    )
    parser.add_argument('images', help='the folder with the 1,000 class folders')
    parser.add_argument('out', help='list to write, one image a line')
    parser.add_argument('--count', type=int, default=COCO, help=f'images to draw (default {COCO})')
    parser.add_argument('--seed', type=int, default=0, help='other seed, other images (default 0)')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    found = find_images(args.images, root=args.images)
    report(found)
    names = found.names
    title = f'ImageNet subset: {args.count} of {len(names)} images, seed {args.seed}'
    write_list(args.out, ImageList(title, sample_names(names, args.count, args.seed)))
    print(f'{args.out}: {title}')


if __name__ == '__main__':
    main()
