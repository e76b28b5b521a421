#!/usr/bin/env python
"""Draw a part of COCO's training images (paper, table 8 and appendix C).

python data_pipelines/mini_coco.py data/coco/annotations/instances_train2017.json --percent 5
"""

import argparse

from mmsoco.errors import command
from mmsoco.images.mini_coco import sample_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw images at random from a COCO annotation file, and write their annotations. The configs '
        'of mmsoco::transfer/mini_coco read what is written for 5, 10 and 50 percent by default.'
    )
    parser.add_argument('annotations', help='COCO JSON, such as instances_train2017.json')
    parser.add_argument(
        'out', nargs='?', help='file to write (default: beside it, such as instances_train2017_5percent_seed0.json)'
    )
    parser.add_argument('--percent', type=float, required=True, help='how much of the images, above 0 and up to 100')
    parser.add_argument('--seed', type=int, default=0, help='other seed, other images (default 0)')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    out, part = sample_file(args.annotations, args.out, args.percent, args.seed)
    drawn = part['info']['drawn']
    print(f'{out}: {drawn["images"]} of {drawn["of"]} images, {len(part["annotations"])} annotations')


if __name__ == '__main__':
    main()
