"""The target network: a moving average of the online one."""

import copy
import math

import torch
from torch import nn


def momentum_at(step: int, max_steps: int, base: float) -> float:
    """Target momentum at an optimizer step: a cosine from ``base`` to 1.

    m = 1 - (1 - base) (cos(pi t / T) + 1) / 2 (BYOL; SoCo starts from 0.99).

    Args:
        step: t, optimizer steps done so far.
        max_steps: T, optimizer steps of the whole training.
    """
    return 1 - (1 - base) * (math.cos(math.pi * step / max_steps) + 1) / 2


def momentum_for(max_steps: int) -> float:
    """Momentum to begin with in a training of so many steps.

    The paper's 0.99 averages over some 100 steps, which is a third of a training
    of 300. Ours: over a twelfth of all steps, at most 100.
    """
    return 1 - max(12 / max(max_steps, 12), 0.01)


class TargetNetwork(nn.Module):
    """A frozen copy of modules, named as they are, that follows them slowly.

    Only parameters follow. The copy keeps its own BN statistics, from its own
    forwards in train mode.

    Unlike mmpretrain's CosineEMA it is told its momentum instead of counting
    forwards, leaves buffers alone, and updates all tensors at once.

    Args:
        modules: Name -> module to copy.
    """

    def __init__(self, modules: dict[str, nn.Module]):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, copy.deepcopy(module))
        self.requires_grad_(False)

    @torch.no_grad()
    def copy_from(self, modules: dict[str, nn.Module]) -> None:
        """Become equal to the modules, buffers included."""
        for name, module in modules.items():
            mine = getattr(self, name).state_dict()
            for key, theirs in module.state_dict().items():
                mine[key].copy_(theirs)

    @torch.no_grad()
    def update(self, modules: dict[str, nn.Module], momentum: float) -> None:
        """theta' = m theta' + (1 - m) theta, for all parameters."""
        mine = [p for name in modules for p in getattr(self, name).parameters()]
        theirs = [p for module in modules.values() for p in module.parameters()]
        if mine:
            torch._foreach_lerp_(mine, theirs, 1 - momentum)
