import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmsoco.datasets import one_thread
from mmsoco.registry import FUNCTIONS


def blur():
    """Something that OpenCV spreads over its threads."""
    return cv2.GaussianBlur(np.zeros((400, 400, 3), np.uint8), (0, 0), 2.0)


class Threads(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        blur()
        return cv2.getNumThreads(), torch.get_num_threads()


@pytest.fixture
def opencv_threads():
    """A way to set OpenCV's threads that is undone at the end."""
    before = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(before)


def load():
    # The time-out is for a worker that hangs: without one the loader would wait for ever.
    loader = iter(DataLoader(Threads(), 1, num_workers=1, worker_init_fn=one_thread, timeout=10))
    try:
        return [tuple(map(int, item)) for item in loader]
    finally:
        loader._shutdown_workers()


def test_a_worker_has_one_thread(opencv_threads):
    opencv_threads(1)
    assert load() == [(1, 1)] * 2


def test_workers_start_after_the_main_process_used_opencvs_threads(opencv_threads):
    """Threads do not survive a fork; the worker must not wait for those of its parent."""
    opencv_threads(4)
    blur()
    assert load() == [(1, 1)] * 2


def test_the_registry_knows_the_name():
    assert FUNCTIONS.get('mmsoco.one_thread') is one_thread
