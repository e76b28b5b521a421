"""Progress bars."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

#: What a terminal shows, and what a log does: done of how many, the time gone and left, and what is told besides.
_ON_TERMINAL = '{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]'
_IN_LOG = '{n_fmt}/{total_fmt} UNITs, {elapsed} gone, {remaining} left{postfix}'


def progress_bar(unit: str, total: int, initial: int = 0, every: float | None = None) -> tqdm:
    """A progress bar on stderr: on a terminal one line, elsewhere, as in logs and through pipes, a line a refresh.

    Args:
        unit: One of what is counted.
        total: How many there are.
        initial: How many were done before.
        every: Seconds between two refreshes; by default 1 on a terminal, 30 elsewhere.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        file=sys.stderr if terminal else _Lines(sys.stderr),
        mininterval=every or (1.0 if terminal else 30.0),
        miniters=1,
        dynamic_ncols=True,
        bar_format=_ON_TERMINAL if terminal else _IN_LOG.replace('UNIT', unit),
    )


@contextmanager
def passing_bar(words: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar that goes when it is done, and is on terminals alone.

    Args:
        words: What is done.
        unit: One of what is counted.

    Yields:
        A function to be told how many are done, of how many; where the first goes down, another round has begun.
    """
    with tqdm(desc=words, unit=unit, dynamic_ncols=True, leave=False, disable=None) as bar:

        def on_progress(done: int, total: int) -> None:
            if done < bar.n:
                bar.reset(total)
            bar.total = total
            bar.update(done - bar.n)

        yield on_progress


def speed(bar: tqdm, count: int = 1, what: str = 'images') -> str:
    """Such as ``4.03 images/s``; empty where nothing is known yet.

    Args:
        count: How many of ``what`` one of the bar's units has.
    """
    rate = bar.format_dict['rate']
    return f'{rate * count:.3g} {what}/s' if rate else ''


class _Lines:
    """A stream on which each refresh of a bar is a line, not written over the one before."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._done = ''

    def write(self, text: str) -> None:
        # A bar that ends shows its last line again.
        done = text.strip().partition(',')[0]
        if done and done != self._done:
            self._stream.write(f'{text.strip()}\n')
            self._done = done

    def flush(self) -> None:
        self._stream.flush()
