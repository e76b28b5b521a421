#!/usr/bin/env python
"""How well proposals cover the objects of labelled images.

python tools/proposal_recall.py data/proposals.arrow labels.json
"""

import argparse
import json

from mmsoco.errors import command
from mmsoco.files import atomic_path, check_out
from mmsoco.proposals.recall import measure_recall
from mmsoco.proposals.source import files_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Recall (in per cent) of labelled objects at IoU 0.5 to 0.95, its average (AR), and the average '
        "best overlap (ABO), for all objects and by COCO's sizes (areas of boxes below 32^2, 96^2, above)."
    )
    parser.add_argument('proposals', help='proposal file, or folder of raw proposals')
    parser.add_argument('labels', help='COCO JSON of the same images; their file names are compared')
    parser.add_argument('--json', metavar='FILE', help='write the table there, too')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    if args.json is not None:
        check_out(args.json, *files_of(args.proposals), args.labels)
    recall = measure_recall(args.proposals, args.labels)
    print(recall)
    if args.json is not None:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(recall.table(), indent=1) + '\n')


if __name__ == '__main__':
    main()
