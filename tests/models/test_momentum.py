import copy
import math

import pytest
import torch
from torch import nn

from mmsoco.models.momentum import TargetNetwork, momentum_at, momentum_for


def test_momentum_starts_at_base_and_ends_at_one():
    assert momentum_at(0, 1000, 0.99) == pytest.approx(0.99)
    assert momentum_at(500, 1000, 0.99) == pytest.approx(0.995)
    assert momentum_at(1000, 1000, 0.99) == 1.0


def network():
    torch.manual_seed(0)
    return {'backbone': nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), 'projector': nn.Linear(4, 2)}


def test_target_follows_the_formula_over_20_steps():
    online = network()
    target = TargetNetwork(online)
    expected = {name: copy.deepcopy(module.state_dict()) for name, module in online.items()}
    for step in range(20):
        with torch.no_grad():
            for module in online.values():
                for p in module.parameters():
                    p.add_(torch.randn_like(p))
        m = 1 - (1 - 0.99) * (math.cos(math.pi * step / 20) + 1) / 2
        target.update(online, momentum_at(step, 20, 0.99))
        for name, module in online.items():
            for key, p in module.named_parameters():
                expected[name][key] = m * expected[name][key] + (1 - m) * p.detach()
    for name in online:
        for key, p in getattr(target, name).named_parameters():
            torch.testing.assert_close(p, expected[name][key])


def test_update_leaves_buffers_alone():
    online = network()
    target = TargetNetwork(online)
    online['backbone'][1].running_mean.fill_(5.0)
    target.update(online, 0.5)
    assert not target.backbone[1].running_mean.any()


def test_copy_takes_parameters_and_buffers():
    online = network()
    target = TargetNetwork(online)
    with torch.no_grad():
        online['projector'].weight.fill_(3.0)
    online['backbone'][1].running_mean.fill_(5.0)
    target.copy_from(online)
    assert (target.projector.weight == 3).all()
    assert (target.backbone[1].running_mean == 5).all()
    assert target.projector.weight is not online['projector'].weight


def test_target_is_frozen():
    assert not any(p.requires_grad for p in TargetNetwork(network()).parameters())


def test_short_trainings_begin_with_a_faster_target():
    assert momentum_for(300) == pytest.approx(1 - 1 / 25)
    assert momentum_for(1200) == momentum_for(62_500) == 0.99
    assert momentum_for(2) == 0
