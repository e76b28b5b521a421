import pytest
import torch

from mmsoco.checkpoints.parts import fill_parts

MODEL = {
    'backbone.conv1.weight': (2, 3),
    'backbone.bn1.num_batches_tracked': (),
    'neck.conv.weight': (2, 2),
    'roi_head.bbox_head.shared_fcs.0.weight': (4, 2),
    'roi_head.bbox_head.fc_cls.weight': (3, 4),
}


def tensors(shapes):
    return {name: torch.ones(shape) for name, shape in shapes.items()}


def test_all_parts_of_a_detector():
    weights, parts, misfit = fill_parts(tensors(MODEL), tensors(MODEL))
    assert parts == ['backbone', 'neck', 'head'] and misfit == ''
    # The last layers are of no part, and counts are of no use.
    assert set(weights) == set(MODEL) - {'roi_head.bbox_head.fc_cls.weight', 'backbone.bn1.num_batches_tracked'}


def test_bare_names_are_a_backbones():
    weights, parts, misfit = fill_parts(tensors(MODEL), tensors({'conv1.weight': (2, 3), 'fc.weight': (5, 2)}))
    assert list(weights) == ['backbone.conv1.weight'] and parts == ['backbone']
    assert misfit == 'neck.conv.weight is missing'


@pytest.mark.parametrize(
    ('name', 'shape', 'parts', 'misfit'),
    [
        ('neck.conv.weight', (2, 5), ['backbone'], 'neck.conv.weight is (2, 5) instead of (2, 2)'),
        ('backbone.conv1.weight', (1, 3), [], 'backbone.conv1.weight is (1, 3) instead of (2, 3)'),
    ],
)
def test_a_part_that_does_not_fit_ends_it(name, shape, parts, misfit):
    """What is above would be fed by something else."""
    assert fill_parts(tensors(MODEL), tensors({**MODEL, name: shape}))[1:] == (parts, misfit)
