"""Noticing samples that would not be the same again."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from mmsoco.errors import UserError


def _positions() -> dict[str, object]:
    """Where the global generators are."""
    name, keys, position, *_ = np.random.get_state()
    return {
        "Python's": random.getstate(),
        "numpy's": (name, keys.tobytes(), position),
        "torch's": torch.get_rng_state().numpy().tobytes(),
    }


@contextmanager
def no_global_randomness(steps: Sequence[object]) -> Iterator[None]:
    """Raise when the block draws from a global generator: its result depends on the worker and on what came before.

    Args:
        steps: The transforms that run in the block, for the message.

    Raises:
        UserError: With the generator, and the transforms that are not mmsoco's own.
    """
    before = _positions()
    yield
    after = _positions()
    for owner, position in before.items():
        if position != after[owner]:
            foreign = [type(step).__name__ for step in steps if not type(step).__module__.startswith('mmsoco.')]
            raise UserError(
                f'a transform draws from {owner} global generator ({", ".join(foreign) or "one of the pipeline"}), so '
                "that no sample could be repeated; let it draw from results['rng']"
            )
