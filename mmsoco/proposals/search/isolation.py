"""Calling a function in a process of its own, which may hang or die without harm."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from queue import Empty, SimpleQueue
from typing import Any

from mmsoco.errors import UserError

# One thread for each library: the processes are the parallelism.
_ONE_THREAD = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
#: Seconds without a call after which a child leaves, and how it says so.
_IDLE = 60.0
_IDLE_STATUS = 77


class Lost(Exception):
    """A call that did not come back: the message says what became of it."""


class _Idle(Exception):
    """The child left just when it was called."""


def _describe(status: int) -> str:
    if status >= 0:
        return f'exit status {status}'
    with suppress(ValueError):
        return f'killed by {signal.Signals(-status).name}'
    return f'killed by signal {-status}'


class Isolated:
    """A function that runs in a child process.

    The child starts with a call, serves later ones, and leaves after a minute
    without any. A call that takes too long, or whose child dies, raises
    :class:`Lost`; the next call gets a new child. It is started with
    :mod:`subprocess`, as workers of a cluster are often not allowed children of
    :mod:`multiprocessing`.

    Args:
        function: Sent to the child once, so picklable; what it returns, too.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self._child: subprocess.Popen | None = None
        self._connection: Connection | None = None

    def __call__(self, *args, timeout: float | None = None) -> Any:
        """The function's result.

        Args:
            timeout: Seconds after which the call is given up; None waits for ever.

        Raises:
            Lost: It took longer, or the child died.
            UserError: No child could be started.
            Exception: Whatever the function raised.
        """
        try:
            return self._call(args, timeout)
        except _Idle:
            return self._call(args, timeout)

    def _call(self, args: tuple, timeout: float | None) -> Any:
        if self._child is None:
            self._start()
        try:
            self._connection.send(args)
            # More than some days would be too much for the system's call.
            if not self._connection.poll(timeout if timeout is None else min(timeout, 1e6)):
                raise Lost(f'took longer than {timeout:g} s')
            value, error = self._connection.recv()
        except (EOFError, OSError):
            status = self._child.wait()
            self.close()
            if status == _IDLE_STATUS:
                raise _Idle from None
            raise Lost(f'its process died ({_describe(status)})') from None
        except BaseException:
            self.close()
            raise
        if error is not None:
            raise error
        return value

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        # A fresh interpreter that finds the same modules.
        code = (
            f'import sys; sys.path[:] = {sys.path!r}; from mmsoco.proposals.search.isolation import serve; '
            f'serve({theirs.fileno()}, {_IDLE})'
        )
        self._child = subprocess.Popen(
            [sys.executable, '-c', code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        # Starting does not count as a call's time.
        try:
            self._connection.send_bytes(pickle.dumps(self._function))
            self._connection.recv()
        except (EOFError, OSError):
            status = self._child.wait()
            self.close()
            raise UserError(
                f'a process for images could not start ({_describe(status)}); is there memory for so many, '
                'and mmsoco on this machine?'
            ) from None

    def close(self) -> None:
        """Kill the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._connection.close()
            self._child = self._connection = None

    def __enter__(self) -> 'Isolated':
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def serve(descriptor: int, idle: float) -> None:
    """What the child does until its parent is gone, or does not call for ``idle`` seconds."""
    # Ctrl-C, or the end of a job, goes to all processes; the parent decides what becomes of this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    connection = Connection(descriptor)
    function = pickle.loads(connection.recv_bytes())
    import cv2

    cv2.setNumThreads(0)
    calls: SimpleQueue = SimpleQueue()

    def listen() -> None:
        # In a thread, so that a parent's death ends this process also in the middle of a call.
        try:
            while True:
                calls.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    connection.send(None)
    while True:
        try:
            args = calls.get(timeout=idle)
        except Empty:
            os._exit(_IDLE_STATUS)
        try:
            result = function(*args), None
        except Exception as error:
            result = None, error
        connection.send(result)
