"""The reference of the benchmark computes the same step, in its own way."""

import copy

import pytest
import torch
from mmengine.registry import DefaultScope
from released_step import ReleasedStep

from mmsoco.engine.optim_constructor import PretrainOptimConstructor
from mmsoco.registry import MODELS

#: All levels have some of the batch's boxes.
BOUNDS = (8, 16, 24)


@pytest.fixture
def model(tiny_model_cfg):
    """In double precision and in eval mode: the reference's BN sees other boxes at a time."""
    torch.manual_seed(0)
    tiny_model_cfg['roi_head']['bbox_roi_extractor']['max_sizes'] = BOUNDS
    with DefaultScope.overwrite_default_scope('mmsoco'):
        model = MODELS.build(tiny_model_cfg)
    model.init_weights()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1 and name.endswith('weight'):
                p.uniform_(0.5, 1.5)  # mmdet begins with zeros in each block's last norm
            if name.startswith('target.'):
                p.add_(0.1 * torch.randn_like(p))
    return model.eval().double()


@pytest.fixture
def inputs(batch, model):
    """The batch as the model takes it."""
    generator = torch.Generator().manual_seed(0)
    views = {
        name: torch.randn(2, 3, *view.shape[1:3], generator=generator, dtype=torch.float64)
        for name, view in batch['inputs'].items()
    }
    boxes = {name: {key: rows.double() for key, rows in sets.items()} for name, sets in batch['boxes'].items()}
    return dict(inputs=views, boxes=boxes, matches=batch['matches'])


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def test_loss_and_gradient(model, inputs):
    released = ReleasedStep(copy.deepcopy(model), BOUNDS)
    ours, _ = model.parse_losses(model(**inputs, mode='loss'))
    theirs = released.loss(**inputs)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5) and abs(ours.item()) > 0.01
    # The boxes are on several levels, so that a wrong one shows.
    wrong = ReleasedStep(model, (1, 2, 3)).loss(**inputs)
    assert abs(wrong.item() - theirs.item()) > 1e-3 * abs(theirs.item())

    ours.backward()
    theirs.backward()
    for (name, mine), other in zip(gradients(model).items(), gradients(released.model).values(), strict=True):
        assert other.any(), name
        assert (mine - other).norm() <= 1e-5 * other.norm(), name


def test_optimizer_and_moving_average(model):
    reference = copy.deepcopy(model)
    lars = dict(type='mmsoco.LARS', lr=0.5, momentum=0.9, weight_decay=1e-2, trust=0.01, eps=1e-8)
    optimizer = PretrainOptimConstructor(dict(type='OptimWrapper', optimizer=lars))(model)
    released = ReleasedStep(reference, lr=0.5, momentum=0.9, weight_decay=1e-2, trust=0.01, eps=1e-8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for p, q in zip(model.parameters(), reference.parameters(), strict=True):
            if p.requires_grad:
                p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)
                q.grad = p.grad.clone()
        model.update_target(0.9)
        released.update_target(0.9)
        optimizer.step()
        released.optimize()
    before = dict(model.named_parameters())
    for name, theirs in reference.named_parameters():
        torch.testing.assert_close(before[name], theirs, rtol=1e-9, atol=1e-12, msg=name)
