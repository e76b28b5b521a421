"""LARS (You et al. 2017) over SGD with momentum, as SoCo's official code has it."""

from collections.abc import Callable, Iterable

import torch
from torch.optim import Optimizer

from mmsoco.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class LARS(Optimizer):
    """Layer-wise adaptive rate scaling.

    For each tensor w with gradient g, in this order::

        g = g + weight_decay * w
        g = g * trust * |w| / (|g| + eps)      (times 1 where |w| or |g| is 0)
        v = momentum * v + g                   (v = g in the first step)
        w = w - lr * v

    The second line is left out for groups with ``adapt=False``. mmpretrain's
    LARS differs: it divides by ``|g| + weight_decay |w|``, both without decay, and
    holds lr inside v. Here a group's tensors are updated together, and nothing
    waits for the GPU.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        momentum: Momentum (paper's code: 0.9).
        weight_decay: Weight decay (paper: 1e-5).
        trust: Trust coefficient (paper's code: 0.001).
        eps: Keeps the division finite (paper's code: 1e-8).
    """

    #: What groups of 1-D parameters are given besides: their rate is not adapted (official code).
    ONE_DIMENSIONAL = dict(adapt=False)

    def __init__(
        self,
        params: Iterable,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        eps: float = 1e-8,
    ):
        for name, value in (('lr', lr), ('momentum', momentum), ('weight_decay', weight_decay), ('trust', trust)):
            if value < 0:
                raise ValueError(f'{name} must not be negative, got {value}')
        defaults = dict(lr=lr, momentum=momentum, weight_decay=weight_decay, trust=trust, eps=eps, adapt=True)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            if params:
                self._step_group(params, group)
        return loss

    def _step_group(self, params: list[torch.Tensor], group: dict) -> None:
        grads = [p.grad for p in params]
        if group['weight_decay'] != 0:
            grads = torch._foreach_add(grads, params, alpha=group['weight_decay'])
        if group['adapt']:
            grads = torch._foreach_mul(grads, self._ratios(params, grads, group))

        fresh = [p for p in params if 'momentum_buffer' not in self.state[p]]
        for p in fresh:
            self.state[p]['momentum_buffer'] = torch.zeros_like(p)
        buffers = [self.state[p]['momentum_buffer'] for p in params]
        torch._foreach_mul_(buffers, group['momentum'])
        torch._foreach_add_(buffers, grads)
        torch._foreach_add_(params, buffers, alpha=-group['lr'])

    @staticmethod
    def _ratios(params: list[torch.Tensor], grads: list[torch.Tensor], group: dict) -> list[torch.Tensor]:
        weight = torch.stack(torch._foreach_norm(params))
        grad = torch.stack(torch._foreach_norm(grads))
        ratio = group['trust'] * weight / (grad + group['eps'])
        return list(torch.where((weight > 0) & (grad > 0), ratio, 1.0).unbind())
