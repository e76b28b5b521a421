import copy
import math

import pytest
import torch
from torch import nn

from mmsoco.engine import LARS
from mmsoco.engine.hooks.schedule import warmup_cosine


def scalar_lars(weight, grads, lrs, wd, adapt, momentum=0.9, trust=0.001, eps=1e-8):
    """The formula on Python floats, one element at a time."""
    weight = [float(x) for x in weight]
    velocity = [0.0] * len(weight)
    for grad, lr in zip(grads, lrs, strict=True):
        g = [float(x) + wd * w for x, w in zip(grad, weight, strict=True)]
        if adapt:
            norm_w, norm_g = math.sqrt(sum(w * w for w in weight)), math.sqrt(sum(x * x for x in g))
            ratio = trust * norm_w / (norm_g + eps) if norm_w > 0 and norm_g > 0 else 1.0
            g = [x * ratio for x in g]
        velocity = [momentum * v + x for v, x in zip(velocity, g, strict=True)]
        weight = [w - lr * v for w, v in zip(weight, velocity, strict=True)]
    return weight


@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize('adapt, wd', [(True, 1e-2), (True, 0.0), (False, 0.0)])
def test_twenty_steps_with_warmup_equal_the_formula(adapt, wd, dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (2, 3, 3, 3), (5,)]
    params = [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]
    params.append(nn.Parameter(torch.zeros(2, 2, dtype=dtype)))  # weight norm 0
    starts = [p.detach().clone().flatten() for p in params]
    lrs = [warmup_cosine(step, 5, 20, peak=0.5) for step in range(20)]
    grads = [[torch.randn(p.shape, generator=generator).to(dtype) for _ in lrs] for p in params]
    grads[0][4].zero_()  # gradient norm 0 where there is no decay

    optimizer = LARS([dict(params=params, adapt=adapt)], lr=1.0, weight_decay=wd)
    for step, lr in enumerate(lrs):
        optimizer.param_groups[0]['lr'] = lr
        for p, steps in zip(params, grads, strict=True):
            p.grad = steps[step].clone()
        optimizer.step()
    for p, start, steps in zip(params, starts, grads, strict=True):
        expected = torch.tensor(scalar_lars(start, [g.flatten() for g in steps], lrs, wd, adapt), dtype=torch.float64)
        error = (p.detach().flatten().double() - expected).norm() / expected.norm()
        assert error < tolerance
        assert not torch.equal(p.detach().flatten(), start)


def test_gradient_is_left_as_it_was():
    p = nn.Parameter(torch.ones(2, 2))
    p.grad = torch.full((2, 2), 0.5)
    LARS([p], lr=1.0, weight_decay=0.1).step()
    assert (p.grad == 0.5).all()


def test_parameter_without_gradient_stays():
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    used.grad = torch.ones(2, 2)
    optimizer = LARS([used, unused], lr=1.0)
    optimizer.step()
    assert (unused == 1).all() and (used != 1).all()
    assert unused not in optimizer.state


def test_state_survives_a_round_trip():
    torch.manual_seed(0)
    a = nn.Parameter(torch.randn(3, 3))
    b = nn.Parameter(a.detach().clone())
    first = LARS([a], lr=0.5)
    a.grad = torch.ones(3, 3)
    first.step()
    with torch.no_grad():
        b.copy_(a)
    second = LARS([b], lr=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    a.grad, b.grad = torch.full((3, 3), 2.0), torch.full((3, 3), 2.0)
    first.step()
    second.step()
    assert torch.equal(a, b)


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match='trust must not be negative'):
        LARS([nn.Parameter(torch.ones(1))], lr=1.0, trust=-1.0)
