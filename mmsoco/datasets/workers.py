"""What a loader worker does first."""

import cv2
import torch

from mmsoco.registry import FUNCTIONS


@FUNCTIONS.register_module()
def one_thread(worker_id: int) -> None:
    """Keep OpenCV and torch to one thread in each worker: the workers are the parallelism."""
    # 0, not 1: resizing OpenCV's pool hangs when the parent had used it before the fork.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
