"""Average precision on LVIS with the numpy of today."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from mmdet.evaluation.metrics import lvis_metric

from mmsoco.errors import UserError
from mmsoco.registry import METRICS


@contextmanager
def numpy_float() -> Iterator[None]:
    """Give numpy its removed alias ``np.float`` for a while, and put it away again.

    lvis 0.5.3 counts hits in ``np.float``, which numpy dropped in 1.24.
    """
    if hasattr(np, 'float'):
        yield
        return
    np.float = float
    try:
        yield
    finally:
        del np.float


@METRICS.register_module()
class LVISMetric(lvis_metric.LVISMetric):
    """mmdet's metric of this name, which fails at the end of the evaluation with numpy 1.24 and later.

    Takes the same arguments and gives the same numbers.

    Raises:
        UserError: The package lvis is not installed.
    """

    def __init__(self, *args, **kwargs):
        if lvis_metric.lvis is None:
            raise UserError('evaluating on LVIS needs the package lvis; run: pip install lvis pycocotools')
        super().__init__(*args, **kwargs)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average precision of boxes and masks, see mmdet's class."""
        with numpy_float():
            return super().compute_metrics(results)
