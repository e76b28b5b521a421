import math
from types import SimpleNamespace

import pytest
import torch

from mmsoco.engine.hooks.schedule import WarmupCosineLRHook, warmup_cosine


@pytest.mark.parametrize('epochs', [100, 400])
def test_learning_rate_of_the_papers_recipe(epochs):
    """ImageNet at batch 2048: 625 steps an epoch, peak 8."""
    steps, warmup, peak = 625 * epochs, 6250, 8.0
    rate = lambda step: warmup_cosine(step, warmup, steps, peak)
    assert rate(0) == pytest.approx(0.08)
    assert rate(warmup // 2) == pytest.approx(8 * (0.01 + 0.99 / 2))
    assert rate(warmup) == peak
    assert rate(warmup + 1) < peak
    middle = (warmup + steps) // 2
    assert rate(middle) == pytest.approx(1e-6 + (8 - 1e-6) * (1 + math.cos(math.pi / 2)) / 2, rel=1e-3)
    assert rate(steps) == pytest.approx(1e-6)


def test_no_warmup_begins_at_the_peak():
    assert warmup_cosine(0, 0, 10, 2.0) == 2.0


def test_each_group_keeps_its_share_of_the_rate():
    """As layer decay builds them; also when an optimizer was resumed in between, with its last rates."""
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(3)]
    groups = [dict(params=[weights[0]], lr=0.25), dict(params=[weights[1]]), dict(params=[weights[2]], lr=4.0)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    loop = SimpleNamespace(total_batch_size=512, max_iters=100)
    runner = SimpleNamespace(
        optim_wrapper=SimpleNamespace(optimizer=optimizer, param_groups=optimizer.param_groups),
        train_loop=loop,
        max_iters=100,
        logger=SimpleNamespace(info=print),
    )
    hook = WarmupCosineLRHook(warmup_share=0.1)
    hook.before_run(runner)
    for group in optimizer.param_groups:
        group['lr'] = 0.001  # as a checkpoint has them
    hook.before_train(runner)
    for step in (0, 5, 10, 60, 100):
        runner.iter = step
        hook.before_train_iter(runner, step)
        rate = warmup_cosine(step, 10, 100, 2.0)
        assert [group['lr'] for group in optimizer.param_groups] == [0.25 * rate, rate, 4 * rate]
