"""How the processes of a run end together, one of them saying why."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from torch.distributed import Store

from mmsoco.files import is_finishing


class Company:
    """The processes of a run, from their first meeting on.

    A launcher ends all processes when the first one has left, whatever they are
    doing. So a process that has to end says so in the store that they met by, and
    waits until all others have come to their end, too, or were ended by their own
    watch: a process that waits for a lost one in a collective comes to no end by
    itself. Whoever is writing a file finishes it. The first process says why, also
    where it is another one that knows it.

    Not by a collective, which the others may never come to, and which has to wait as
    long as an evaluation takes. The first process ends last: torch prints a stack trace
    where a store that it asks is gone.

    Args:
        store: Of all processes; the first one holds it.
        watched: The same by another connection: one that a thread waits on serves no other.
        rank: Of this process.
        size: How many there are.
        part: Closes what else asks the store, when all have come to their end.
    """

    #: Seconds that a process has to come to its end by itself, and that all wait at most for one that writes.
    GRACE, BOUND = 3.0, 300.0
    #: Seconds that the first process stays when no other one asks any more, but threads of it may be waiting.
    LAST = 0.2

    def __init__(self, store: Store, watched: Store, rank: int, size: int, part: Callable[[], None] = lambda: None):
        self._store, self._watched = store, watched
        self._rank, self._size, self._part = rank, size, part
        self._leaving = threading.Lock()
        self._told = False
        self._unwatched = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def leave(self, kind: str, line: str | None, status: int) -> int | None:
        """Say why all end, in one process, and wait until all can.

        Args:
            kind: What stands before the line.
            line: Why this process ends; None where that may be another one's fault.
            status: This process' exit status.

        Returns:
            The status to end with; None where this process has no line, nor any other one.
        """
        if line is None and not self._others_end():
            return None
        self._end_watch()
        self._heed_launcher()
        own = line
        said = False
        try:
            if line is None:
                kind, line, status = self._words(self._store)
            else:
                line = own = f'process {self._rank}: {line}' if self._rank else line
                self._store.set(f'words/{self._rank}', json.dumps([kind, line, status]))
                self._store.add('leaving', 1)
            if self._rank:
                self._until(lambda: self._store.check(['said']))
            self._say(self._store, kind, line)
            said = True
            self._gather(self._store, 'gone')
            self._part()
            self._fall_silent(self._store)
        except RuntimeError:
            # Without the first process there is no store; if this one was told to end, the launcher says why.
            if not said and own is None:
                return None
            if not said and not self._told:
                print(f'{kind}: {own}', file=sys.stderr, flush=True)
        return status

    def _others_end(self) -> bool:
        with suppress(RuntimeError):
            return self._store.check(['leaving'])
        return False

    def finish(self) -> None:
        """Wait at the end of a run until all are there: the first one has what others may still ask for.

        Until then one that ends with an error ends all.
        """
        with suppress(RuntimeError):
            self._gather(self._store, 'done')
            self._end_watch()
            self._part()
            self._fall_silent(self._store)

    def _words(self, store: Store) -> tuple[str, str, int]:
        """What ends the first of the processes that end, kind, line and status."""
        rank = next(rank for rank in range(self._size) if store.check([f'words/{rank}']))
        return tuple(json.loads(store.get(f'words/{rank}')))

    def _gather(self, store: Store, where: str) -> None:
        store.add(where, 1)
        self._until(lambda: store.add(where, 0) >= self._size)

    def _fall_silent(self, store: Store) -> None:
        """Ask the store for the last time; the first process, whose end ends it, stays until all others have."""
        store.add('silent', 1)
        if self._rank == 0:
            end = time.monotonic() + self.GRACE
            # Also where a launcher told it to end: it told the others, too.
            while store.add('silent', 0) < self._size and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(self.LAST)

    def _say(self, store: Store, kind: str, line: str) -> None:
        if store.add('saying', 1) == 1:
            print(f'{kind}: {line}', file=sys.stderr, flush=True)
            store.set('said', 'yes')

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + self.BOUND
        while not (condition() or self._told) and time.monotonic() < end:
            time.sleep(0.05)

    def _heed_launcher(self) -> None:
        """From now on a signal, as of a launcher that has lost another process, only ends the waiting."""

        def note(number: int, frame: object) -> None:
            self._told = True

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, note)

    def _end_watch(self) -> None:
        self._leaving.acquire()  # for good; or the watch has it, and ends this process
        self._unwatched.set()
        self._watching.join(self.GRACE)  # it may be asking the store

    def _watch(self) -> None:
        """End this process where another one ends, and this one does not come to it by itself."""
        with suppress(RuntimeError):  # as long as there is the first process
            while not self._watched.check(['leaving']):
                if self._unwatched.wait(0.5):
                    return
            begin = busy = time.monotonic()
            while (now := time.monotonic()) - busy < self.GRACE:
                if is_finishing() and now - begin < self.BOUND:
                    busy = now
                if self._unwatched.wait(0.1):
                    return
            if not self._leaving.acquire(blocking=False):
                return
            kind, line, status = self._words(self._watched)
            with suppress(RuntimeError):
                if self._rank == 0:
                    self._say(self._watched, kind, line)
                self._gather(self._watched, 'gone')
                self._fall_silent(self._watched)
            os._exit(status)
