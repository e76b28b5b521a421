"""Batches of a loader, and in words why there is none."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.queues import Queue
from typing import Any

from torch.utils.data import DataLoader

from mmsoco.errors import UserError, is_of_shared_memory, reason, words_of

#: Settings of workers, which torch refuses where there are none.
_OF_WORKERS = ('timeout', 'persistent_workers', 'prefetch_factor', 'multiprocessing_context')


def fit_to_workers(loader: dict) -> dict:
    """The config of a loader without what torch takes for workers only, if it has none: ``num_workers=0`` suffices."""
    if loader.get('num_workers'):
        return loader
    return {key: value for key, value in loader.items() if key not in _OF_WORKERS}


def next_batch(batches: Iterator[dict], loader: DataLoader) -> dict:
    """The next batch of a loader.

    Raises:
        UserError: A worker raised it, here in its own words; or the loader timed out: the
            images that its workers do not come back from are named, and the workers killed.
    """
    try:
        return next(batches)
    except UserError as error:
        # Without the worker's traceback, which torch makes part of the message.
        raise type(error)(words_of(error)) from None
    except RuntimeError as error:
        if 'DataLoader timed out' not in str(error):
            raise
        stuck = loader.dataset.being_read() if hasattr(loader.dataset, 'being_read') else []
        _kill_workers()
        raise UserError(
            f'no batch came for {loader.timeout:g} s, while {", ".join(stuck[:3]) or "no image"} was being read; is '
            'its disk there? Try to read it; where it is only slow, raise train_dataloader.timeout'
        ) from None


def _kill_workers() -> None:
    """End workers, which are this process' daemons: those that wait for a disk do not hear of a milder end."""
    is_main = threading.current_thread() is threading.main_thread()
    # torch's handler would raise at the workers' death, in the middle of what is said.
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if is_main else None
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()
            child.join(5)
    if is_main:
        signal.signal(signal.SIGCHLD, handler)


def end_with_lost_batches() -> None:
    """Let this worker end where it cannot hand on a batch; Python prints that alone, and its parent waits for ever."""
    Queue._on_queue_feeder_error = staticmethod(_end)


def _end(error: Exception, batch: Any) -> None:
    if is_of_shared_memory(error):
        # As where the memory ends while it is written, so that the parent has the same to say.
        signal.pthread_kill(threading.get_ident(), signal.SIGBUS)
    print(f'a batch is lost: {reason(error)}', file=sys.stderr, flush=True)
    os._exit(1)
