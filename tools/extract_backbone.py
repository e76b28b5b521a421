#!/usr/bin/env python
"""Take backbone, FPN and box head out of a pretraining checkpoint, for mmdet or another tool.

python tools/extract_backbone.py work_dirs/NAME/epoch_100.pth soco_r50fpn.safetensors
python tools/extract_backbone.py work_dirs/NAME/epoch_100.pth soco_r50fpn.pkl --target detectron2
"""

import argparse

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.tools import TOOLS
from mmsoco.errors import command


def parse_args() -> argparse.Namespace:
    summaries = {tool: (rename.__doc__ or '').partition('\n')[0] for tool, rename in TOOLS.items()}
    parser = argparse.ArgumentParser(
        description='Write the weights of the parts that a detector has, under the names that a tool gives them.\n'
        'Nothing else goes along, no optimizer either; a table says what became of each part.',
        epilog='tools:\n' + '\n'.join(f'  {tool:<15}  {summary}' for tool, summary in summaries.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('checkpoint')
    parser.add_argument('out', help='file to write, ending in .pth or .safetensors; for detectron2 in .pkl')
    parser.add_argument(
        '--tool', '--target', dest='tool', default='mmdet', metavar='T', help='whose names, see below (default mmdet)'
    )
    parser.add_argument(
        '--network',
        '--which',
        dest='network',
        default='online',
        metavar='N',
        help='online network, or target, the moving average (default online)',
    )
    parser.add_argument('--hash', action='store_true', help="add the file's SHA-256 to its name")
    parser.add_argument(
        '--trust-checkpoint', action='store_true', help='run code that the checkpoint holds, if it needs any'
    )
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    path, table = extract(
        args.checkpoint,
        args.out,
        args.tool,
        with_hash=args.hash,
        network=args.network,
        trust_checkpoint=args.trust_checkpoint,
    )
    print(f'{table}\nwritten to {path}')


if __name__ == '__main__':
    main()
