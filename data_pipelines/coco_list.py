#!/usr/bin/env python
"""List COCO's train2017 and unlabeled2017 (paper, table 9).

python data_pipelines/coco_list.py data/coco data/coco/train_unlabeled.txt
"""

import argparse

from mmsoco.errors import command
from mmsoco.images.finding import report
from mmsoco.images.lists import COCO, COCO_FOLDERS, list_folders, write_list


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f'List the images of {" and ".join(COCO_FOLDERS)} ({COCO:,} when complete).'
    )
    parser.add_argument('images', help=f'the folder that holds {" and ".join(COCO_FOLDERS)}')
    parser.add_argument('out', help='list to write, one image a line')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    images = list_folders(args.images, f'COCO {" + ".join(COCO_FOLDERS)}', COCO, COCO_FOLDERS, on_found=report)
    write_list(args.out, images)
    print(f'{args.out}: {images.title}')


if __name__ == '__main__':
    main()
