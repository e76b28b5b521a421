"""Activations computed again in the backward pass instead of kept, for larger batches in the same memory."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmsoco.errors import UserError
from mmsoco.models.sync_bn import SyncBatchNorm, remembering


def recompute(model: nn.Module, parts: Iterable[str]) -> None:
    """Let a model's parts keep what their blocks are given alone, and compute the rest again for the gradient.

    Losses, gradients and statistics of BN are those without, bit by bit: recomputing
    changes no running statistics, draws the same random numbers, and asks no other
    process again. mmengine's ``activation_checkpointing`` updates BN twice. In a part that is
    compiled, what is recomputed is not.

    Args:
        model: Changed in place; its tensors keep their names.
        parts: Names of modules in it, such as ``backbone`` or ``backbone.layer1``.

    Raises:
        UserError: It has no such part.
    """
    modules = dict(model.named_modules())
    for part in parts:
        if part not in modules:
            there = ', '.join(name for name, _ in model.named_children())
            raise UserError(f'the model has no part {part} to recompute; give some of {there}')
        for block in blocks(modules[part]):
            block.forward = partial(_kept_small, block, block.forward)


def blocks(module: nn.Module) -> list[nn.Module]:
    """What a module runs one after the other: the members of its outermost lists, or, without one, itself."""
    found, inside = [], [module]
    while inside:
        this = inside.pop(0)
        if isinstance(this, (nn.Sequential, nn.ModuleList)):
            found += this
        else:
            inside += this.children()
    return [block for block in found if any(True for _ in block.parameters())] or [module]


# torch.compile cannot see through the contexts: in a compiled part these blocks run as they are.
@torch.compiler.disable
def _kept_small(block: nn.Module, forward: Callable, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=partial(_contexts, block), **kwargs)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """For the forward, and for doing it again."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm) and module.training]
    synced = [norm for norm in norms if isinstance(norm, SyncBatchNorm)]
    memory: dict[SyncBatchNorm, list] = {}
    return remembering(synced, memory, replay=False), _again(norms, synced, memory)


@contextmanager
def _again(norms: list[_BatchNorm], synced: list[SyncBatchNorm], memory: dict) -> Iterator[None]:
    """With the same statistics, and copies of the running ones to follow, which are thrown away."""
    kept = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({name: value.clone() for name, value in norm._buffers.items() if value is not None})
    try:
        with remembering(synced, memory, replay=True):
            yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            norm._buffers.update(buffers)
