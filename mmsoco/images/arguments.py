"""Arguments of tools that say how images are read."""

import argparse

from mmsoco.arguments import positive
from mmsoco.errors import UserError
from mmsoco.images.reading import Reading


def add_reading_arguments(parser: argparse._ActionsContainer) -> None:
    """``--channels``, ``--value-range`` and ``--triple``, for :func:`reading_of`."""
    parser.add_argument(
        '--channels',
        type=positive,
        default=3,
        metavar='N',
        help='1: grey, 3: RGB (default), else those of the files',
    )
    parser.add_argument(
        '--value-range',
        default='file',
        metavar='RULE',
        help='which values become 0 and 255 where there are more than 8 bits: file (what it declares, default), type, '
        'percentiles (2 and 98), or LOW..HIGH, for all images alike',
    )
    parser.add_argument(
        '--triple',
        type=positive,
        nargs=3,
        metavar='CHANNEL',
        help='the channels to search, as red, green and blue, counted from 1 (default: of other than three the '
        'principal components)',
    )


def reading_of(args: argparse.Namespace) -> Reading:
    """What ``--channels``, ``--value-range`` and ``--triple`` say.

    Raises:
        UserError: They make no sense.
    """
    value_range = args.value_range
    if '..' in value_range:
        try:
            value_range = tuple(map(float, value_range.split('..')))
        except ValueError:
            raise UserError(f'--value-range {value_range} is not LOW..HIGH, two numbers, such as 0..4095') from None
    return Reading(args.channels, value_range, args.triple)
