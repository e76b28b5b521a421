#!/usr/bin/env python
"""List ImageNet-1k's training images.

python data_pipelines/imagenet_list.py data/imagenet/train data/imagenet/train.txt
"""

import argparse

from mmsoco.errors import command
from mmsoco.images.finding import report
from mmsoco.images.lists import IMAGENET, list_folders, write_list


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f'List the images of ImageNet-1k ({IMAGENET:,} when complete), in their class folders.'
    )
    parser.add_argument('images', help='the folder with the 1,000 class folders')
    parser.add_argument('out', help='list to write, one image a line')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    images = list_folders(args.images, 'ImageNet-1k', IMAGENET, on_found=report)
    write_list(args.out, images)
    print(f'{args.out}: {images.title}')


if __name__ == '__main__':
    main()
