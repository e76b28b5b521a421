import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.generators.grid import GridBoxes


def propose(height, width, **arguments):
    return GridBoxes(**arguments).propose(np.zeros((height, width, 3), np.uint8), 'a.jpg')


def test_one_size_covers_the_image_evenly():
    boxes = propose(100, 200, scales=(0.5,), ratios=(1.0,))
    assert boxes.tolist() == sorted([x, y, x + 100, y + 50] for x in (0, 50, 100) for y in (0, 25, 50))


def test_scales_ratios_and_reach():
    grid = GridBoxes()
    boxes = propose(400, 400)
    w, h = (boxes[:, 2:] - boxes[:, :2]).T
    sizes = np.sqrt(w * h) / 400
    for scale in grid.scales:
        for ratio in grid.ratios:
            alike = (np.abs(sizes - scale) < 0.01) & (np.abs(w / h / ratio - 1) < 0.03)
            assert alike.any()
            assert boxes[alike, :2].min(axis=0).tolist() == [0, 0]
            assert boxes[alike, 2:].max(axis=0).tolist() == [400, 400]
    # All pass the filter's bounds of size.
    assert (sizes > 0.3).all() and (sizes < 0.8).all()
    assert len(np.unique(boxes, axis=0)) == len(boxes) > 50


@pytest.mark.parametrize('shape', [(1, 1), (1, 40), (3, 2)])
def test_tiny_images_have_a_box(shape):
    height, width = shape
    boxes = propose(height, width)
    assert len(boxes) >= 1 and boxes.dtype == np.int32
    assert (boxes[:, 2:] > boxes[:, :2]).all() and (boxes[:, 2:] <= (width, height)).all()


@pytest.mark.parametrize('arguments', [dict(scales=(1.5,)), dict(scales=()), dict(ratios=(0.0,)), dict(stride=0.0)])
def test_grids_without_boxes_are_refused(arguments):
    with pytest.raises(UserError, match='give'):
        GridBoxes(**arguments)
