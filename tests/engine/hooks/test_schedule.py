import math

import pytest

from mmsoco.engine.hooks.schedule import warmup_cosine


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
