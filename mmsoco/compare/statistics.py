"""Means over seeds, and whether a paired difference is larger than the noise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

#: Share of intervals that hold the true difference.
CONFIDENCE = 0.95
#: Seeds under which nothing is said.
FEWEST = 3
#: What figures are rounded to, see :func:`~mmsoco.evaluation.columns.paper_columns`.
RESOLUTION = 0.1

LARGER, SMALLER, SAME, FEW = 'larger', 'smaller', 'not distinguishable', 'too few seeds'


@dataclass(frozen=True)
class Spread:
    """Of values over seeds.

    Attributes:
        mean: None of no value.
        sd: With ddof 1; None of fewer than two.
        count: How many.
    """

    mean: float | None
    sd: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> 'Spread':
        """That of some values."""
        return cls(
            float(np.mean(values)) if len(values) else None,
            float(np.std(values, ddof=1)) if len(values) > 1 else None,
            len(values),
        )


@dataclass(frozen=True)
class Difference:
    """Of two arms, paired by seed.

    Attributes:
        mean: Of the differences; None of none.
        low, high: Of its interval (t, :data:`CONFIDENCE`); None of fewer than two.
        p: Of the two-sided paired t-test.
        count: Pairs.
    """

    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    count: int

    @property
    def verdict(self) -> str:
        """One of ``LARGER``, ``SMALLER``, ``SAME``, ``FEW``."""
        if self.count < FEWEST:
            return FEW
        if self.low > 0:
            return LARGER
        return SMALLER if self.high < 0 else SAME

    def plain(self) -> dict:
        """With the verdict, for JSON."""
        return asdict(self) | {'verdict': self.verdict}


def paired_difference(values: dict[int, float], others: dict[int, float], resolution: float = RESOLUTION) -> Difference:
    """How much one arm is above another, over the seeds that both have.

    Args:
        values, others: Seed -> value.
        resolution: What both are rounded to. The standard error is never below that of rounding, as of some seeds
            that happen to give the same difference.
    """
    seeds = sorted(values.keys() & others.keys())
    differences = np.array([values[seed] - others[seed] for seed in seeds])
    if len(differences) < 2:
        return Difference(float(differences[0]) if len(differences) else None, None, None, None, len(differences))
    mean = float(differences.mean())
    # A rounded value has a variance of a twelfth of its step, squared.
    error = max(float(stats.sem(differences)), resolution / (6 * len(differences)) ** 0.5)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, len(differences) - 1))
    return Difference(mean, mean - half, mean + half, p, len(differences))
