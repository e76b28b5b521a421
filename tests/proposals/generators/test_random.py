import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.filters import STAGES, ProposalFilter, filter_boxes
from mmsoco.proposals.generators.random import RandomBoxes


def image(height, width):
    return np.zeros((height, width, 3), np.uint8)


def test_boxes_lie_anywhere_in_the_image():
    boxes = RandomBoxes(count=5000).propose(image(300, 500), 'a.jpg')
    assert boxes.dtype == np.int32 and len(boxes) > 4900
    assert (boxes >= 0).all() and (boxes[:, 2:] <= (500, 300)).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    # The sorted ends of two uniform draws: means at a third and two thirds.
    np.testing.assert_allclose(boxes.mean(axis=0) / (500, 300, 500, 300), [1 / 3, 1 / 3, 2 / 3, 2 / 3], atol=0.02)


def test_name_and_seed_decide():
    first = RandomBoxes().propose(image(80, 60), 'a.jpg')
    np.testing.assert_array_equal(first, RandomBoxes().propose(image(80, 60), 'a.jpg'))
    assert first.tolist() != RandomBoxes().propose(image(80, 60), 'b.jpg').tolist()
    assert first.tolist() != RandomBoxes(seed=1).propose(image(80, 60), 'a.jpg').tolist()


def test_enough_pass_the_papers_filter_for_sixteen_proposals():
    """Table 5c goes up to K = 16 with selective search, 8 with random boxes."""
    for seed in range(20):
        kept, stage = filter_boxes(RandomBoxes(seed=seed).propose(image(375, 500), 'a'), 500, 375, ProposalFilter())
        assert stage == STAGES[0] and len(kept) > 32


@pytest.mark.parametrize('shape', [(1, 1), (1, 300), (2, 2)])
def test_tiny_images_have_a_box(shape):
    boxes = RandomBoxes(count=1).propose(image(*shape), 'a')
    assert len(boxes) == 1 and (boxes[:, 2:] > boxes[:, :2]).all()


def test_no_boxes_or_no_seed():
    for wrong in (dict(count=0), dict(seed=-1)):
        with pytest.raises(UserError, match='draws no boxes'):
            RandomBoxes(**wrong)
