"""Noticing samples that would not be the same again."""

import random
from collections.abc import Callable

import numpy as np
import torch

from mmsoco.errors import UserError


def _positions() -> dict[str, object]:
    """Where the global generators are; asking takes 0.1 ms."""
    name, keys, position, *_ = np.random.get_state()
    return {
        "Python's": random.getstate(),
        "numpy's": (name, keys.tobytes(), position),
        "torch's": torch.get_rng_state().numpy().tobytes(),
    }


def apply(step: Callable[[dict], dict], results: dict, watched: bool) -> dict:
    """Run a transform.

    Args:
        step: The transform.
        results: What it is given.
        watched: Whether to see that it draws from no global generator: its result would
            depend on the worker and on what came before.

    Raises:
        UserError: It does.
    """
    if not watched:
        return step(results)
    before = _positions()
    results = step(results)
    for owner, position in _positions().items():
        if position != before[owner]:
            raise UserError(
                f'the transform {type(step).__name__} draws from {owner} global generator, so that no sample could be '
                "repeated; let it draw from results['rng']"
            )
    return results
