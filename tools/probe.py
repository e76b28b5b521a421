#!/usr/bin/env python
"""Measure what weights know, beside random ones, without training anything on them.

python tools/probe.py work_dirs/NAME/epoch_100.pth
python tools/probe.py resnet50.pth --config configs/soco/soco_r50fpn_8xb256_100e_in1k.py --proposals held_out.arrow
"""

import argparse

from mmsoco.arguments import positive
from mmsoco.devices import use_device
from mmsoco.errors import command
from mmsoco.probe.run import probe
from mmsoco.resources import named


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Finds the boxes of held-out images again in another view of them, through each stage of the '
        f'network; where labels are given, reads them from the features. {named("docs/probe.md")} says what the '
        'figures mean.'
    )
    parser.add_argument('checkpoint', help='of a pretraining, a detector of mmdet, or a backbone')
    parser.add_argument('--config', help='of its model (default: the one beside the checkpoint)')
    parser.add_argument(
        '--proposals',
        metavar='FILE',
        help='proposal file of images that were not trained on (default: those that the config holds out)',
    )
    parser.add_argument(
        '--images', '--pictures', dest='images', metavar='DIR', help='their folder (default: as the proposal file says)'
    )
    parser.add_argument('--labels', metavar='JSON', help='COCO annotations, for accuracies of labelled boxes')
    parser.add_argument(
        '--labelled-images',
        '--labelled-pictures',
        dest='labelled_images',
        metavar='DIR',
        help="the annotations' images",
    )
    parser.add_argument('--classes', metavar='DIR', help='images with a subfolder for each class')
    parser.add_argument(
        '--size', type=positive, help="side of the views in pixels (default: the pretraining's, or 224)"
    )
    parser.add_argument('--boxes', type=positive, default=2000, metavar='N', help='boxes to tell apart (default 2000)')
    parser.add_argument('--device', help='where to compute: cpu (the default), cuda, or one of several, such as cuda:1')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='run code that the checkpoint holds, if it needs any'
    )
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    if args.device is not None:
        use_device(args.device)
    print(
        probe(
            args.checkpoint,
            config=args.config,
            proposals=args.proposals,
            images=args.images,
            labels=args.labels,
            labelled_images_root=args.labelled_images,
            classes=args.classes,
            size=args.size,
            boxes=args.boxes,
            device=args.device or 'cpu',
            out=args.json,
            trust_checkpoint=args.trust_checkpoint,
        )
    )


if __name__ == '__main__':
    main()
