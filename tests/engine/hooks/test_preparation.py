from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from mmsoco.engine.hooks.preparation import PreparationHook, require_fit
from mmsoco.errors import UserError


def runner(samples=4, max_iters=1, val=None, hooks=()):
    loader = DataLoader(range(samples), batch_size=4, drop_last=True)
    val_loader = None if val is None else DataLoader(range(val))
    return SimpleNamespace(
        train_dataloader=loader,
        test_dataloader=loader,
        val_dataloader=val_loader,
        val_loop=val_loader,
        max_iters=max_iters,
        hooks=hooks,
    )


def test_runs_without_a_step_are_refused():
    hook = PreparationHook(whole=False)
    hook.before_train(runner(val=1, hooks=[hook, SimpleNamespace(interval=-1)]))
    for wrong, words in (
        (dict(samples=3), 'train_dataloader gives no batch: 3 samples'),
        (dict(val=0), 'val_dataloader gives no batch'),
        (dict(max_iters=0), 'no step'),
        (dict(hooks=[SimpleNamespace(interval='x')]), "interval 'x' of SimpleNamespace"),
        (dict(hooks=[SimpleNamespace(interval=0)]), 'interval 0 of SimpleNamespace'),
    ):
        with pytest.raises(UserError, match=words):
            hook.before_train(runner(**wrong))
    with pytest.raises(UserError, match='test_dataloader gives no batch'):
        hook.before_test(runner(samples=3))


def test_checkpoints_of_other_models_are_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weights = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict()
    require_fit(model, {f'module.{name}': value for name, value in weights.items()} | {'more': torch.zeros(1)}, 'a.pth')
    assert torch.equal(model[0].weight, weights['0.weight'])
    for altered in ({**weights, '0.weight': torch.zeros(3, 2)}, {**weights, '0.weight': 3}):
        with pytest.raises(UserError, match=r'a.pth is not of this model: 1 of its 7 .* first 0.weight, which .*shape'):
            require_fit(model, altered, 'a.pth')
    del weights['1.running_mean']
    with pytest.raises(UserError, match=r'first 1.running_mean, which is not there'):
        require_fit(model, weights, 'a.pth')
