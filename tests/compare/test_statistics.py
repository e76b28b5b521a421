"""Means and paired differences, against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from mmsoco.compare.statistics import FEW, LARGER, SAME, SMALLER, Spread, paired_difference


def test_spread_by_hand():
    spread = Spread.of([1.0, 2.0, 4.0])
    assert spread.mean == pytest.approx(7 / 3) and spread.count == 3
    assert spread.sd == pytest.approx(math.sqrt((16 + 1 + 25) / 9 / 2))
    assert Spread.of([3.0]) == Spread(3.0, None, 1) and Spread.of([]) == Spread(None, None, 0)


def test_difference_is_scipys_of_the_seeds_that_both_have():
    values = {0: 12.0, 1: 15.5, 2: 11.0, 4: 14.0, 9: 99.0}
    others = {0: 10.0, 1: 14.0, 2: 10.5, 4: 11.0, 7: 0.0}
    found = paired_difference(values, others)
    a, b = ([side[seed] for seed in (0, 1, 2, 4)] for side in (values, others))
    expected = stats.ttest_rel(a, b)
    assert (found.mean, found.p, found.count) == (1.75, pytest.approx(expected.pvalue), 4)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    # By hand: t of 3 degrees is 3.182.
    half = 3.182446 * np.std([2, 1.5, 0.5, 3], ddof=1) / 2
    assert found.high - found.mean == pytest.approx(half)


@pytest.mark.parametrize(
    ('differences', 'verdict'),
    [
        ([2.0, 2.1, 1.9], LARGER),
        ([-2.0, -2.1, -1.9], SMALLER),
        ([2.0, -1.0, 0.5], SAME),
        ([5.0, 5.1], FEW),
        ([5.0], FEW),
        ([], FEW),
        ([0.0, 0.0, 0.0], SAME),
    ],
)
def test_verdicts(differences, verdict):
    others = dict.fromkeys(range(len(differences)), 10.0)
    found = paired_difference({seed: 10 + one for seed, one in enumerate(differences)}, others)
    assert found.verdict == found.plain()['verdict'] == verdict


def test_equal_differences_of_rounded_values_are_not_certain():
    found = paired_difference({0: 1.1, 1: 2.1, 2: 3.1}, {0: 1.0, 1: 2.0, 2: 3.0})
    assert found.p > 0.01 and found.verdict == SAME
    assert paired_difference({0: 1.1, 1: 2.1, 2: 3.1}, {0: 1.0, 1: 2.0, 2: 3.0}, resolution=1e-6).verdict == LARGER


def test_pairing_takes_out_what_seeds_have_in_common():
    base = np.random.default_rng(0).normal(20, 10, 5)
    found = paired_difference(dict(enumerate(base + np.array([1, 1.2, 0.9, 1.1, 0.8]))), dict(enumerate(base)))
    assert found.verdict == LARGER and stats.ttest_ind(base + 1, base).pvalue > 0.5
