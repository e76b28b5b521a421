import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmsoco.errors import UserError
from mmsoco.proposals.formats.outlines import bounds


def masks():
    rng = np.random.default_rng(0)
    for i in range(60):
        height, width = rng.integers(1, 40, 2)
        mask = np.zeros((height, width), np.uint8)
        x, y = rng.integers(0, width), rng.integers(0, height)
        mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = 1
        if i % 3:
            mask &= rng.random((height, width)) < 0.3
        yield mask
    yield np.ones((7, 5), np.uint8)
    # One run, from one column into the next.
    mask = np.zeros((7, 5), np.uint8)
    mask[3:, 1] = mask[:2, 2] = 1
    yield mask


def test_bounds_of_runs_are_those_of_the_mask():
    """And pycocotools' text of them is read."""
    for mask in masks():
        rows, columns = np.nonzero(mask)
        expected = [0, 0, 0, 0]
        if len(rows):
            x, y = columns.min(), rows.min()
            expected = [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
        flat = mask.ravel(order='F')
        runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[1 - flat[0]], flat, [1 - flat[-1]]]))))
        counts = [0, *runs.tolist()] if flat[0] else runs.tolist()
        text = coco_mask.encode(np.asfortranarray(mask))['counts'].decode()
        for given in (counts, text):
            assert bounds(dict(counts=given, size=list(mask.shape)), 'x').tolist() == [expected], (mask, given)


def test_bounds_of_polygons():
    assert bounds([[5, 6, 40, 6.5, 20, 30], [1, 7, 2, 8, 2, 9]], 'x').tolist() == [[1, 6, 39, 24]]


@pytest.mark.parametrize(
    'outline',
    [
        [], [[]], [[1]], [['a', 2]], 'x', 5, {}, dict(counts=[1], size=[1]), dict(counts=[5], size=[2, 2]),
        dict(counts=[-1, 5], size=[2, 2]), dict(counts='~' * 100, size=[2, 2]), dict(counts='P', size=[2, 2]),
        dict(counts='\u00e4', size=[2, 2]), dict(counts=[], size=[0, 0]), dict(counts=[2**70], size=[1, 1]),
        dict(counts=None, size=[1, 1]), dict(counts=[[1]], size=[1, 1]),
    ],
)  # fmt: skip
def test_what_is_no_outline(outline):
    with pytest.raises(UserError, match='x: it has no bbox, and its segmentation is neither polygons nor runs'):
        bounds(outline, 'x')
