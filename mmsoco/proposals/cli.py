"""The command line of the tools that propose boxes for a folder."""

import argparse
from pathlib import Path

import joblib

from mmsoco.arguments import part, positive
from mmsoco.bars import progress_bar, speed
from mmsoco.errors import UserError
from mmsoco.files import check_out
from mmsoco.images import values
from mmsoco.images.arguments import add_reading_arguments, reading_of
from mmsoco.images.finding import report
from mmsoco.images.lists import read_list
from mmsoco.images.tiles import Tiling
from mmsoco.proposals.generators.base import add_options, build_generator
from mmsoco.proposals.registry import GENERATORS
from mmsoco.proposals.search.folder import FAILURES, Execution, Result, search_folder
from mmsoco.proposals.search.parallel import BACKENDS


def parser(description: str, default: str) -> argparse.ArgumentParser:
    """A parser for :func:`propose`; ``default`` is one of :data:`~mmsoco.proposals.registry.GENERATORS`."""
    parser = argparse.ArgumentParser(description=f'{description} A second run goes on where the first stopped.')
    parser.add_argument(
        'images', nargs='+', help='folders of images, searched recursively, or archives (.zip, .tar), read in place'
    )
    parser.add_argument('out', help='folder for the raw proposals; mmsoco filter comes next')
    parser.add_argument('--list', metavar='FILE', help='take only these images: one a line, relative to the folder')
    parser.add_argument(
        '--generator',
        '--method',
        choices=GENERATORS,
        default=default,
        help=f'how boxes are proposed (default: {default})',
    )
    add_options(parser, GENERATORS)

    images = parser.add_argument_group('how images are read, in training, too')
    add_reading_arguments(images)
    images.add_argument('--tile', type=positive, metavar='SIDE', help='search in windows of so many pixels')
    images.add_argument('--overlap', type=float, metavar='PART', help='of a tile with its neighbour (default 0.1)')

    run = parser.add_argument_group('how it runs; nothing here changes what is found')
    run.add_argument(
        '--jobs', type=positive, default=joblib.cpu_count(), help='processes on this machine (default: one a core)'
    )
    run.add_argument('--backend', choices=BACKENDS, default='loky', help='dask and ray: also clusters (default: loky)')
    run.add_argument('--address', metavar='URL', help='of a running cluster; else one starts here')
    run.add_argument(
        '--shard', type=part, metavar='I/N', default=(0, 1), help='do only part I of N (from 0/N on), for job arrays'
    )
    run.add_argument('--shard-size', type=positive, help='images a file (default: up to 256)')
    run.add_argument(
        '--timeout', type=float, metavar='S', default=600, help='seconds after which an image fails (default: 600)'
    )
    run.add_argument('--retry', action='store_true', help='search again in images that failed before')
    run.add_argument(
        '--max-failures',
        type=int,
        metavar='N',
        help='more of them make exit status 1 (default: 0.1 %% of the images, at least 10, as in training)',
    )
    return parser


def tiling_of(args: argparse.Namespace) -> Tiling | None:
    """What ``--tile`` and ``--overlap`` say.

    Raises:
        UserError: They make no sense.
    """
    if args.tile is None:
        if args.overlap is not None:
            raise UserError('--overlap is of tiles; give their side by --tile')
        return None
    return Tiling(args.tile, 0.1 if args.overlap is None else args.overlap)


def propose(args: argparse.Namespace) -> int:
    """Propose boxes as the arguments say, with a progress bar; print a summary.

    Returns:
        Exit status: 1 when more images failed than allowed.

    Raises:
        UserError: See :func:`~mmsoco.proposals.search.folder.search_folder`.
    """
    if args.list is not None:
        check_out(Path(args.out, FAILURES), args.list, what='the list to read')
    generator = build_generator(args.generator, GENERATORS, args)
    execution = Execution(args.jobs, args.backend, args.address, args.shard, args.timeout, args.retry)
    image_list = None if args.list is None else read_list(args.list)
    unit = 'image' if args.tile is None else 'tile'
    bar = None

    def on_progress(result: Result) -> None:
        nonlocal bar
        if bar is None:
            # What was there before does not count as speed.
            bar = progress_bar(unit, result.total, result.done)
        words = [speed(bar, what=f'{unit}s'), f'{len(result.failures)} failed' if result.failures else '']
        bar.set_postfix_str(', '.join(filter(None, words)), refresh=False)
        bar.update(result.done - bar.n)

    try:
        result = search_folder(
            args.images,
            args.out,
            generator,
            execution=execution,
            shard_size=args.shard_size,
            image_list=image_list,
            on_progress=on_progress,
            reading=reading_of(args),
            tiling=tiling_of(args),
            on_found=report,
        )
    finally:
        if bar is not None:
            bar.close()
    for line in values.words(result.met, unit):
        print(line)
    if result.several_frames:
        print(f'{result.several_frames} images are in files of several frames or pages, of which the first is taken')
    failed = len(result.failures)
    limit = max(10, result.total // 1000) if args.max_failures is None else args.max_failures
    print(f'{args.out}: proposals of {result.searched} {unit}s; {failed} failed')
    for name, reason in list(result.failures.items())[:5]:
        print(f'  {name}: {reason}')
    if failed > 5:
        print(f'  and {failed - 5} more, all in {Path(args.out, FAILURES)}')
    if failed > limit:
        print(f'more than the {limit} allowed (--max-failures); mend what can be mended and search with --retry')
        return 1
    return 0
