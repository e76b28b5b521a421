"""Optimizer steps that leave out gradients that are not finite, in any precision."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn

from mmsoco.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class FiniteOptimWrapper(OptimWrapper):
    """Log the gradient's norm, and skip the step where it is not finite.

    Under DDP gradients are averaged before the step, so all processes see the
    same norm and skip alike.

    Attributes:
        skipped: Steps left out in a row, up to now.
    """

    skipped = 0

    def step(self, **kwargs) -> None:
        """Step, or skip it."""
        if self._gradient_is_finite():
            super().step(**kwargs)

    def _gradient_is_finite(self) -> bool:
        grads = [p.grad for group in self.optimizer.param_groups for p in group['params'] if p.grad is not None]
        norm = torch.stack(torch._foreach_norm(grads)).norm().item()
        self.message_hub.update_scalar('train/grad_norm', norm)
        finite = math.isfinite(norm)
        self.skipped = 0 if finite else self.skipped + 1
        return finite


@OPTIM_WRAPPERS.register_module()
class FiniteAmpOptimWrapper(AmpOptimWrapper, FiniteOptimWrapper):
    """The same in mixed precision on a GPU; the loss scaler does the skipping."""

    def step(self, **kwargs) -> None:
        """Step, or skip it and let the scaler choose a smaller scale."""
        self.loss_scaler.unscale_(self.optimizer)
        self._gradient_is_finite()
        if self.clip_grad_kwargs:
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update(self._scale_update_param)


# Earlier versions had it for CPUs alone.
@OPTIM_WRAPPERS.register_module(name=['BFloat16OptimWrapper', 'CPUAmpOptimWrapper'])
class BFloat16OptimWrapper(FiniteOptimWrapper):
    """Autocast to bfloat16, on whatever device the model is; mmengine's AmpOptimWrapper refuses CPUs.

    There is no loss scaling: bfloat16 has the range of float32.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and no gradient synchronisation between accumulated batches."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
