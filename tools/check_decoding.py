#!/usr/bin/env python
"""Every image of a folder as mmsoco reads it, beside Pillow's reading: for developers.

tools/check_decoding.py FOLDER
"""

import argparse
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from mmsoco.arguments import positive
from mmsoco.errors import UserError, command, reason
from mmsoco.images.comparison import FAULTS, TOLERANCE, VERDICTS, Comparison, compare
from mmsoco.proposals.search.isolation import Isolated, Lost


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f"Compare sizes and pixels, which may differ by {TOLERANCE} levels, with Pillow's, and print a "
        'table by kind of file. Each file is read in a child process, which may die. Exit status 1 where any differ.'
    )
    parser.add_argument('folder', help='folder of files of any kind')
    parser.add_argument('--jobs', type=positive, default=1, help='processes (default 1)')
    parser.add_argument('--timeout', type=float, default=60, help='seconds for a file (default 60)')
    parser.add_argument('--list', action='store_true', help='name each file and what came out, not only the faults')
    return parser.parse_args()


_child = threading.local()


def compare_isolated(path: Path, timeout: float) -> Comparison:
    """The comparison, made in a child process of this thread's."""
    if not hasattr(_child, 'compare'):
        _child.compare = Isolated(compare)
    try:
        return _child.compare(path, timeout=timeout)
    except Lost as error:
        return Comparison(f'(lost: {path.suffix})', 'lost', str(error))
    # Whatever it is, the table of the others is not to suffer from it.
    except Exception as error:
        return Comparison(f'(lost: {path.suffix})', 'lost', reason(error))


def table(comparisons: dict[Path, Comparison]) -> str:
    """Rows of kinds, columns of verdicts that there are."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for kind, verdict, _ in comparisons.values():
        counts[kind][verdict] += 1
    columns = [verdict for verdict in (*VERDICTS, 'lost') if any(row[verdict] for row in counts.values())]
    width = max(map(len, counts))
    lines = ['kind'.ljust(width) + ''.join(verdict.rjust(14) for verdict in columns)]
    for kind, row in [*sorted(counts.items()), ('all', sum(counts.values(), Counter()))]:
        lines.append(kind.ljust(width) + ''.join(str(row[verdict] or '').rjust(14) for verdict in columns))
    return '\n'.join(lines)


@command
def main() -> int:
    args = parse_args()
    paths = sorted(path for path in Path(args.folder).rglob('*') if path.is_file())
    if not paths:
        raise UserError(f'{args.folder} holds no files')
    with ThreadPoolExecutor(args.jobs) as pool:
        found = tqdm(pool.map(lambda path: compare_isolated(path, args.timeout), paths), total=len(paths), unit='file')
        comparisons = dict(zip(paths, found, strict=True))
    faults = 0
    for path, (kind, verdict, words) in comparisons.items():
        is_fault = verdict in (*FAULTS, 'lost')
        faults += is_fault
        if is_fault or args.list:
            print(f'{path.relative_to(args.folder)}: {kind}: {verdict} ({words})')
    print(table(comparisons))
    return 1 if faults else 0


if __name__ == '__main__':
    main()
