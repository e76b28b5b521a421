"""The command line of a pretraining as a whole: ``mmsoco pretrain``, ``tools/pretrain.py``."""

import argparse
import math
from pathlib import Path

from mmsoco.arguments import positive
from mmsoco.devices import DEVICES, use_device
from mmsoco.errors import UserError, command, one_line
from mmsoco.pretrain.asked import Asked
from mmsoco.pretrain.networks import BACKBONES, DETECTORS
from mmsoco.pretrain.proposals import SIZES


def parse_args() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(
        description='Pretrain a whole detector on a folder of images, without labels. What is chosen is printed with '
        'its reason; a second call goes on where the first stopped.'
    )
    parser.add_argument('images', metavar='IMAGES', help='folder of images, searched recursively, or an archive')
    parser.add_argument('--out', metavar='DIR', help='folder for all files (default: work_dirs/NAME_OF_THE_FOLDER)')
    network = parser.add_argument_group('what is pretrained')
    network.add_argument('--detector', choices=DETECTORS, default='mask-rcnn', help='default: mask-rcnn')
    network.add_argument(
        '--backbone', choices=BACKBONES, help='default: resnet50; on a CPU a ResNet-18 of half its width'
    )
    network.add_argument('--init', metavar='WEIGHTS', help='weights to begin with (default: random)')
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--hours', type=float, help='how long it may take, all in all')
    length.add_argument('--epochs', type=positive, help='how often each image is seen')
    length.add_argument('--steps', type=positive, help='optimizer steps (default: those of the recipe)')
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument(
        '--size', choices=SIZES, help="the objects' size: sqrt(area / image area) of some 0.1, 0.3 or 0.5"
    )
    boxes.add_argument(
        '--objects',
        metavar='JSON',
        help='COCO annotations of some of the images, by which search and filter are chosen',
    )
    run = parser.add_argument_group('how it runs')
    run.add_argument('--batch', type=positive, help='images a step (default: what the recipe has and the memory holds)')
    run.add_argument('--view', type=positive, metavar='SIDE', help='of the views in pixels (default: chosen)')
    run.add_argument('--device', choices=DEVICES, help='where to train (default: CUDA where it is there)')
    run.add_argument('--dry-run', action='store_true', help='print the plan and its commands, and write nothing')
    return parser.parse_args()


def require_nameable(*paths: str) -> None:
    """Refuse paths that a config would hold as something else.

    Raises:
        UserError: mmengine would fill one in, or it is no UTF-8.
    """
    for path in paths:
        if '{{' in path or any('\ud800' <= c <= '\udfff' for c in path):
            raise UserError(
                f'{one_line(path)} has {{{{, or bytes that are no UTF-8, and no config can hold it; rename it'
            )


@command
def main() -> None:
    """The tool."""
    args = parse_args()
    if args.hours is not None and not 0 < args.hours < math.inf:
        raise UserError(f'--hours {args.hours:g} is no time; give a number above 0')
    for path in filter(None, (args.objects, args.init)):
        if not Path(path).is_file():
            raise UserError(f'{path} does not exist, or is no file; name one')
    # A second call may come from another folder.
    for key in ('images', 'objects', 'init'):
        if getattr(args, key) is not None:
            setattr(args, key, str(Path(getattr(args, key)).resolve()))
    require_nameable(args.images, args.out or '')
    use_device(args.device)
    # After use_device, as importing mmengine looks for a GPU.
    from mmsoco.pretrain.running import pretrain

    out = Path(args.out or Path('work_dirs', Path(args.images).resolve().name))
    if str(out).startswith('-'):  # it would be an option of the steps
        out = out.absolute()
    words = vars(args)
    pretrain(args.images, out, Asked(**{key: words[key] for key in Asked.__annotations__}), args.dry_run)


if __name__ == '__main__':
    main()
