"""Images that could not be read, as the workers of a loader notice them together."""

import multiprocessing
from queue import Empty
from typing import NamedTuple


class BadImage(NamedTuple):
    """An image that could not be read.

    Attributes:
        file_name: Relative to the root.
        reason: Why, and where it should be.
        first_epoch: In which that was noticed first, from 1 on.
    """

    file_name: str
    reason: str
    first_epoch: int


class BadImages:
    """Which images could not be read: each counts once an epoch, whichever workers meet it how often.

    Workers share it when they are started, forked or spawned.

    Args:
        rows: How many images there are.
    """

    def __init__(self, rows: int):
        # Of each image, the epoch in which it counted last, from 1 on; 0 for never.
        self._last = multiprocessing.Array('i', rows)
        # Of the latest epoch its number and its bad images, and how many reasons were sent.
        self._epoch, self._count, self._sent = (multiprocessing.RawValue('q', 0) for _ in range(3))
        self._reasons = multiprocessing.Queue()
        self._taken = 0

    def add(self, row: int, epoch: int, file_name: str, reason: str) -> int:
        """Count an image.

        Args:
            row: Its number.
            epoch: From 1 on. Workers may be at two at once; counted is the later one.

        Returns:
            How many there are in this epoch; 0 for one that counted before.
        """
        with self._last.get_lock():
            if self._last[row] >= epoch:
                return 0
            is_new = not self._last[row]
            self._last[row] = epoch
            if epoch > self._epoch.value:
                self._epoch.value, self._count.value = epoch, 0
            self._count.value += 1
            count = self._count.value
            self._sent.value += is_new
        if is_new:
            # A worker must not wait at its end for someone who takes this.
            self._reasons.cancel_join_thread()
            # Short enough to be written at once, so that a killed worker leaves nothing half.
            self._reasons.put(BadImage(file_name[:1000], reason[:1000], epoch))
        return count

    def take(self, patience: float = 1.0) -> list[BadImage]:
        """Those that were noticed for the first time since the last call; of the process that has the workers.

        Args:
            patience: Seconds to wait for one that is on its way.
        """
        found = []
        while self._taken < self._sent.value:
            try:
                found.append(self._reasons.get(timeout=patience))
            except Empty:  # with a worker that was killed
                self._taken = self._sent.value
            else:
                self._taken += 1
        return found
