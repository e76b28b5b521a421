"""Whether the batches of a pretraining's loaders fit into the memory that processes share."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmsoco.engine.together import Together
from mmsoco.errors import UserError

PLACE = Path('/dev/shm')


def bytes_of_batch(loader: Mapping[str, Any]) -> int:
    """Bytes of a batch's views, (B, size, size, C) uint8 each; 0 of a pipeline whose views are unknown."""
    dataset = loader.get('dataset') or {}
    steps = dataset.get('pipeline') or {}
    steps = steps.values() if isinstance(steps, Mapping) else steps
    views = next((step['views'] for step in steps if isinstance(step, Mapping) and step.get('views')), {})
    views = views.values() if isinstance(views, Mapping) else views
    pixels = sum(view['size'] ** 2 for view in views if view)
    return pixels * dataset.get('channels', 3) * loader['batch_size']


def need(loader: Mapping[str, Any], processes: int) -> tuple[int, int]:
    """Bytes that the loaders of so many processes take at least, and where they are ahead of the training.

    Each worker writes its first batch into shared memory, and the others that it is told
    to make ahead, ``prefetch_factor``, 2 by default; one more is in use (as measured with torch 2.12).
    """
    workers = loader.get('num_workers') or 0
    batch = bytes_of_batch(loader) * processes
    return batch * workers, batch * (workers * (loader.get('prefetch_factor') or 2) + 1) if workers else 0


def check_shared_memory(loader: Mapping[str, Any], patience: float = 0) -> list[str]:
    """Compare what loaders will need with what is there; to be called in all processes of a run.

    Args:
        loader: Config of the loader of each of them, its batch divided.
        patience: Seconds that what is missing is waited for, as dying workers of an attempt before may have it.

    Returns:
        What is to be logged: that it may become too little.

    Raises:
        UserError: Not even the workers' first batches fit; in all processes.
    """
    here = Together().share(socket.gethostname()).count(socket.gethostname())
    least, most = need(loader, here)
    free = _free(least, patience) if most and PLACE.is_dir() else most
    words = (
        f'{PLACE} has {free / 2**30:.2f} GB free, and the loaders of {here} processes with {loader.get("num_workers")} '
        f'workers each take {least / 2**30:.2f} to {most / 2**30:.2f} GB'
    )
    advice = (
        f'start the container with --ipc=host or --shm-size={-(-most * 5 // (4 * 2**30))}g, or take fewer workers: '
        f'--cfg-options train_dataloader.num_workers={max(1, int(loader.get("num_workers", 0) * free / (most or 1)))}'
    )
    Together().raise_any(UserError(f'{words}; {advice}') if free < least else None)
    return [f'{words}; if it becomes too little, {advice}'] if free < most else []


def _free(least: int, patience: float) -> int:
    """Bytes that are free; what is less than it takes is looked at again for so many seconds."""
    end = time.monotonic() + patience
    while True:
        status = os.statvfs(PLACE)
        free = status.f_bavail * status.f_frsize
        if free >= least or time.monotonic() >= end:
            return free
        time.sleep(0.5)
