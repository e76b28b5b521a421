"""The command line of the tools that propose boxes for a folder."""

import argparse
from dataclasses import fields
from pathlib import Path

import joblib
from tqdm import tqdm

from mmsoco.arguments import part, positive
from mmsoco.errors import UserError
from mmsoco.images.lists import read_list
from mmsoco.proposals.grid_boxes import GridBoxes
from mmsoco.proposals.parallel import BACKENDS
from mmsoco.proposals.random_boxes import RandomBoxes
from mmsoco.proposals.raw import FAILURES, Engine, Result, search_folder
from mmsoco.proposals.selective_search import MODES, SearchParameters
from mmsoco.proposals.shards import Method

METHODS = {'selective_search': SearchParameters, 'grid': GridBoxes, 'random': RandomBoxes}


def parser(description: str, default: str) -> argparse.ArgumentParser:
    """A parser for :func:`propose`; ``default`` is one of :data:`METHODS`."""
    parser = argparse.ArgumentParser(
        description=f'{description} A second run goes on where the first stopped.',
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument('images', help='folder of images, searched recursively')
    parser.add_argument('out', help='folder for the raw proposals; data_pipelines/filter_proposals.py comes next')
    parser.add_argument(
        '--list', metavar='FILE', default=None, help='take only these images: one a line, relative to the folder'
    )
    parser.add_argument(
        '--method', choices=METHODS, default=default, help=f'how boxes are proposed (default: {default})'
    )

    # Left out, they keep the defaults of their method's class.
    search = parser.add_argument_group('selective search')
    search.add_argument('--mode', choices=MODES, help="single, the default, is the paper's")
    search.add_argument('--k', type=int, help='segmentation scale (default: 300)')
    search.add_argument('--sigma', type=float, help='smoothing in pixels (default: 0.9)')
    search.add_argument('--min-size', type=int, help='smallest segment in pixels (default: 100)')
    search.add_argument('--max-side', type=positive, help='search a copy with this longer side: faster, other boxes')
    grid = parser.add_argument_group('grid')
    grid.add_argument('--scales', type=float, nargs='+', help='sqrt(box area / image area) (default: 0.35 0.5 0.7)')
    grid.add_argument('--ratios', type=float, nargs='+', help='width / height (default: 0.5 1 2)')
    grid.add_argument('--stride', type=float, help='distance of neighbours, in sides of a box (default: 0.5)')
    random = parser.add_argument_group('random')
    random.add_argument('--count', type=positive, help='boxes an image, before the filter (default: 200)')
    random.add_argument('--seed', type=int, help='0 or more; other seed, other boxes (default: 0)')

    run = parser.add_argument_group('how it runs; nothing here changes what is found')
    run.add_argument(
        '--jobs', type=positive, default=joblib.cpu_count(), help='processes on this machine (default: one a core)'
    )
    run.add_argument('--backend', choices=BACKENDS, default='loky', help='dask and ray: also clusters (default: loky)')
    run.add_argument('--address', metavar='URL', default=None, help='of a running cluster; else one starts here')
    run.add_argument(
        '--shard', type=part, metavar='I/N', default=(0, 1), help='do only part I of N (from 0/N on), for job arrays'
    )
    run.add_argument('--shard-size', type=positive, default=None, help='images a file (default: up to 256)')
    run.add_argument(
        '--timeout', type=float, metavar='S', default=600, help='seconds after which an image fails (default: 600)'
    )
    run.add_argument('--retry', action='store_true', default=False, help='search again in images that failed before')
    run.add_argument(
        '--max-failures',
        type=int,
        metavar='N',
        default=None,
        help='more of them make exit status 1 (default: 0.1 %% of the images, at least 10, as in training)',
    )
    return parser


def build_method(args: argparse.Namespace) -> Method:
    """The method that arguments describe.

    Raises:
        UserError: An argument is another method's.
    """
    chosen = METHODS[args.method]
    given = {f.name for method in METHODS.values() for f in fields(method)} & set(vars(args))
    own = {f.name for f in fields(chosen)}
    for name in sorted(given - own):
        raise UserError(f'--{name.replace("_", "-")} is not an option of --method {args.method}; leave it out')
    values = {name: getattr(args, name) for name in given}
    return chosen(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def propose(args: argparse.Namespace) -> int:
    """Propose boxes as the arguments say, with a progress bar; print a summary.

    Returns:
        Exit status: 1 when more images failed than allowed.

    Raises:
        UserError: See :func:`~mmsoco.proposals.raw.search_folder`.
    """
    method = build_method(args)
    engine = Engine(args.jobs, args.backend, args.address, args.shard, args.timeout, args.retry)
    image_list = None if args.list is None else read_list(args.list)
    bar = None

    def on_progress(result: Result) -> None:
        nonlocal bar
        if bar is None:
            # What was there before does not count as speed.
            bar = tqdm(total=result.total, initial=result.done, unit='image', dynamic_ncols=True)
        bar.set_postfix(failed=len(result.failures), refresh=False)
        bar.update(result.done - bar.n)

    try:
        result = search_folder(args.images, args.out, method, engine, args.shard_size, image_list, on_progress)
    finally:
        if bar is not None:
            bar.close()
    failed = len(result.failures)
    limit = max(10, result.total // 1000) if args.max_failures is None else args.max_failures
    print(f'{args.out}: proposals of {result.searched} images; {failed} failed')
    for name, reason in list(result.failures.items())[:5]:
        print(f'  {name}: {reason}')
    if failed > 5:
        print(f'  and {failed - 5} more, all in {Path(args.out, FAILURES)}')
    if failed > limit:
        print(f'more than the {limit} allowed (--max-failures); mend what can be mended and search with --retry')
        return 1
    return 0
