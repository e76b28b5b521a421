"""What steps say of themselves, kept on the device until somebody reads it."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

#: Steps left out in a row, of a wrapper that leaves some out.
SKIPPED = 'skipped in a row'


class Figures:
    """The losses and other figures of some steps, to be fetched together."""

    def __init__(self):
        self._names: list[tuple[str, ...]] = []
        self._rows: list[Tensor] = []

    def add(self, outputs: Sequence[Mapping[str, Tensor]], optim_wrapper: OptimWrapper) -> None:
        """Keep a step's figures.

        Args:
            outputs: Of its micro-batches; the means count.
            optim_wrapper: What may know the gradient's norm, and how many steps were left out.
        """
        row = torch.stack([torch.stack([value.detach().float() for value in part.values()]) for part in outputs])
        names, row = tuple(outputs[0]), row.mean(dim=0)
        if getattr(optim_wrapper, 'norm', None) is not None:
            own = torch.stack([optim_wrapper.norm.float(), optim_wrapper.in_a_row.float()])
            names, row = (*names, 'grad_norm', SKIPPED), torch.cat([row, own])
        self._names.append(names)
        self._rows.append(row)

    def fetch(self) -> list[dict[str, float]]:
        """Those of the steps since the last call, the latest last; waits for the device once."""
        if not self._rows:
            return []
        values = iter(torch.cat(self._rows).tolist())
        steps = [{name: next(values) for name in names} for names in self._names]
        self._names, self._rows = [], []
        return steps


def to_be_logged(step: Mapping[str, float]) -> dict[str, float]:
    """A step's figures without the norm of a gradient that was left out: one would hide all others in a mean."""
    left_out = {SKIPPED} | ({'grad_norm'} if step.get(SKIPPED) else set())
    return {name: value for name, value in step.items() if name not in left_out}
