#!/usr/bin/env python
"""Does a pretraining help on my data? The same detector from several initial weights, with the noise between seeds.

python tools/compare.py configs/own/detectors/faster-rcnn_r18fpn_cpu.py --train TRAIN.json IMAGES \
    --val VAL.json IMAGES --init scratch --init soco=iter_400.pth --fractions 0.1 1.0 --seeds 3
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import joblib

from mmsoco.arguments import part, positive
from mmsoco.compare.comparing import Prepared, compare, rehearse
from mmsoco.compare.own_data import OwnData, look_through
from mmsoco.compare.plan import Comparison, Init
from mmsoco.devices import DEVICES, use_device
from mmsoco.errors import command
from mmsoco.options import HELP, Options, OptionsAction


class OnlyAction(OptionsAction):
    """``NAME KEY=VALUE [KEY=VALUE...]``: options of one arm, by its name."""

    def __call__(self, parser, namespace, values: Sequence[str], option_string=None):
        """Add to those of the name."""
        name, *options = values
        found = dict(getattr(namespace, self.dest))
        one = argparse.Namespace(**{self.dest: found.get(name)})
        super().__call__(parser, one, options, option_string)
        setattr(namespace, self.dest, found | {name: getattr(one, self.dest)})


def times(text: str) -> float:
    """A schedule such as 3x."""
    return float(text.removesuffix('x'))


def pair(text: str) -> tuple[str, str]:
    """NAME=FOLDER."""
    name, sign, folder = text.partition('=')
    if not (name and sign and folder):
        raise argparse.ArgumentTypeError(f'{text} is not like NAME=FOLDER')
    return name, folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train a detector from several initial weights, on parts of the labels, with several seeds, and '
        'say whether the differences are larger than the noise.'
    )
    parser.add_argument('config', help="the detector's: of mmsoco::own/detectors, mmsoco::transfer or mmdet")
    for name, words in (('train', 'train on'), ('val', 'evaluate on')):
        parser.add_argument(
            f'--{name}',
            nargs=2,
            metavar=('JSON', 'IMAGES'),
            help=f'labels in COCO format to {words}, and the folder that their file names begin in',
        )
    parser.add_argument(
        '--init',
        action='append',
        required=True,
        metavar='scratch|NAME=FILE',
        help='what an arm begins from: random weights, or a file of weights; give two or more',
    )
    parser.add_argument(
        '--fractions', nargs='+', type=float, default=[1.0], metavar='F', help='of the training images (default 1.0)'
    )
    parser.add_argument('--seeds', type=positive, default=3, help='how many runs a cell (default 3)')
    parser.add_argument(
        '--schedules', nargs='+', type=times, default=[1.0], metavar='Nx', help='times the schedule (default 1x)'
    )
    parser.add_argument('--out', default='work_dirs/compare', help='folder to write (default work_dirs/compare)')
    parser.add_argument(
        '--report', default='results', metavar='NAME', help='of OUT/NAME.json, .md and .png (default results)'
    )
    parser.add_argument(
        '--baseline', default='', metavar='NAME', help='arm to compare with (default scratch, or the first)'
    )
    parser.add_argument(
        '--evaluations', type=positive, default=4, metavar='K', help='of a run, over its training (default 4)'
    )
    parser.add_argument(
        '--fit', action='store_true', help='give the detector of every arm the norms and box head of a pretraining'
    )
    parser.add_argument(
        '--only',
        nargs='+',
        action=OnlyAction,
        default={},
        metavar=('NAME', 'KEY=VALUE'),
        help='change the config of one arm alone',
    )
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='KEY=VALUE', help=HELP)
    parser.add_argument(
        '--pretrained-on',
        action='append',
        type=pair,
        default=[],
        metavar='NAME=FOLDER',
        help="images of an arm's pretraining, where its file does not say; evaluation images are looked for in them",
    )
    parser.add_argument(
        '--allow-leakage', action='store_true', help='go on though evaluation images were pretrained on'
    )
    parser.add_argument('--amp', nargs='?', const=True, choices=('fp16', 'bf16'), help='mixed precision, in every arm')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the images a step')
    parser.add_argument('--device', choices=DEVICES, help='where to compute (default: CUDA where it is there)')
    parser.add_argument('--jobs', type=positive, default=1, help='runs at a time on this machine (default 1)')
    parser.add_argument(
        '--processes-a-run', type=positive, default=1, metavar='P', help='processes, one a GPU, of a run'
    )
    parser.add_argument('--shard', type=part, default=(0, 1), metavar='I/N', help='do only part I of N, for job arrays')
    parser.add_argument('--keep-checkpoints', action='store_true', help='keep those of finished runs')
    parser.add_argument('--dry-run', action='store_true', help='say what would be done and how long it takes')
    args = parser.parse_args()
    if (args.train is None) != (args.val is None):
        parser.error('give both --train JSON IMAGES and --val JSON IMAGES, or neither')
    return args


@command
def main() -> int:
    args = parse_args()
    use_device(args.device)
    with tempfile.TemporaryDirectory() as elsewhere:
        own = None
        if args.train is not None:
            own = look_through(args.train, args.val, Path(args.out, 'labels'), elsewhere if args.dry_run else None)
        return run(args, own)


def run(args: argparse.Namespace, own: OwnData | None) -> int:
    """Compare, or rehearse it.

    Returns:
        Exit status.
    """
    comparison = Comparison(
        args.config,
        tuple(map(Init.parse, args.init)),
        args.out,
        tuple(args.fractions),
        args.seeds,
        tuple(args.schedules),
        args.baseline,
        args.evaluations,
        args.fit,
        args.cfg_options or Options(),
        args.only,
        args.amp,
        args.auto_scale_lr,
        args.processes_a_run,
        own,
        args.report,
    )
    leakage = dict(pretrained_on=dict(args.pretrained_on), allow=args.allow_leakage, jobs=joblib.cpu_count())
    prepared = Prepared(comparison, print, {**leakage, 'keep': not args.dry_run})
    if args.dry_run:
        rehearse(prepared, args.jobs, args.shard)
        return 0
    return 0 if compare(prepared, args.jobs, args.shard, args.keep_checkpoints) else 1


if __name__ == '__main__':
    main()
