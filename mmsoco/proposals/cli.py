"""What the tools that propose boxes for a folder have in common: arguments and a progress bar."""

import argparse
import os

from tqdm import tqdm

from mmsoco.proposals.lists import read_list
from mmsoco.proposals.raw import Method, search_folder


def positive(text: str) -> int:
    """An argument that is a whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return number


def folder_parser(description: str) -> argparse.ArgumentParser:
    """A parser for the arguments of :func:`propose`."""
    parser = argparse.ArgumentParser(
        description=f'{description} A second run goes on where the first stopped.',
    )
    parser.add_argument('images', help='folder of pictures, searched recursively')
    parser.add_argument('out', help='folder for the raw proposals; data_pipelines/filter_proposals.py comes next')
    parser.add_argument('--list', metavar='FILE', help='take only these pictures: one a line, relative to the folder')
    parser.add_argument('--jobs', type=positive, default=os.cpu_count(), help='processes (default: one a core)')
    parser.add_argument('--shard-size', type=positive, default=1000, help='pictures a file (default 1000)')
    return parser


def propose(args: argparse.Namespace, method: Method) -> None:
    """Propose boxes as the arguments say, with a progress bar; print a summary.

    Raises:
        UserError: See :func:`~mmsoco.proposals.raw.search_folder`.
    """
    picture_list = None if args.list is None else read_list(args.list)
    with tqdm(unit='picture', dynamic_ncols=True) as bar:

        def on_picture(done: int, total: int, failure: str | None) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if failure is not None:
                bar.write(f'skipped: {failure}')

        count, failures = search_folder(
            args.images, args.out, method, args.jobs, args.shard_size, picture_list, on_picture
        )
    print(f'{args.out}: proposals of {count} pictures; {len(failures)} could not be read')
