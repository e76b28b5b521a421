"""Time by part of a step, the rate of a device's matrix products, medians with their spread."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

import torch

#: Where no part is open.
REST = 'rest'


class Clock:
    """Whose time it is: of a step every moment belongs to one part, the innermost that is open.

    On CUDA it puts events into the stream, which take no time and are read when a step is over:
    a part's time is the device's, and so is that of waiting for data, when the device has nothing
    to do. Elsewhere it asks a clock.

    Args:
        device: Where the work is done.
        now: The clock of a CPU; ``time.process_time`` where others use it, too.
    """

    def __init__(self, device: torch.device | str, now: Callable[[], float] = time.perf_counter):
        self._cuda = torch.device(device).type == 'cuda'
        self._now = now
        self._open = [REST]
        self._marks: list[tuple[torch.cuda.Event | float, str]] = []
        self._mark()

    def _mark(self) -> None:
        """What follows belongs to the part that is open."""
        if self._cuda:
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        else:
            mark = self._now()
        self._marks.append((mark, self._open[-1]))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of the step; one inside another interrupts it."""
        self._open.append(name)
        self._mark()
        try:
            yield
        finally:
            self._open.pop()
            self._mark()

    def watch(self, owner: object, method: str, name: str | Callable[..., str]) -> None:
        """Make an object's method a part.

        Args:
            name: The part's, or a function that names it by what the method is called with.
        """
        setattr(owner, method, self.timed(getattr(owner, method), name))

    def timed(self, function: Callable, name: str | Callable[..., str]) -> Callable:
        """A function whose calls are a part, named as :meth:`watch` names it."""

        def watched(*args, **kwargs):
            with self.part(name if isinstance(name, str) else name(*args, **kwargs)):
                return function(*args, **kwargs)

        return watched

    def take(self) -> list[tuple[torch.cuda.Event | float, str]]:
        """The marks since the last time, for :func:`seconds_of`; waits for nothing."""
        self._mark()
        marks, self._marks = self._marks, self._marks[-1:]
        return marks


def seconds_of(marks: Sequence[tuple[torch.cuda.Event | float, str]]) -> dict[str, float]:
    """Part -> its seconds; of a CUDA device's marks, once it has come past them."""
    seconds: dict[str, float] = {}
    for (start, name), (end, _) in pairwise(marks):
        lasted = end - start if isinstance(start, float) else start.elapsed_time(end) / 1000
        seconds[name] = seconds.get(name, 0.0) + lasted
    return seconds


def matmul_rate(
    device: torch.device | str, dtype: torch.dtype, side: int, rounds: int = 5, now: Callable = time.perf_counter
) -> float:
    """FLOP/s of products of square matrices, the median of some rounds; float32 as TF32 is set."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(rounds + 1):
        clock = Clock(device, now)
        with clock.part('matmul'):
            a @ b
        marks = clock.take()
        if a.is_cuda:
            torch.cuda.synchronize(a.device)
        seconds.append(seconds_of(marks)['matmul'])
    # The first one chooses how.
    return 2 * side**3 / median(seconds[1:])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {'median': median(values), 'lowest': min(values), 'highest': max(values)}
