"""Operators that compute in float32 while the rest of a detector is in bfloat16."""

import functools
from collections.abc import Callable
from typing import Any

import mmcv.ops  # noqa: F401, where they are defined
import torch
from mmengine.utils import apply_to
from torch import Tensor
from torch.autograd import Function


@functools.cache
def keep_operators_in_float32(device: str) -> None:
    """Let mmcv's operators take bfloat16, and give it back, for the rest of the process.

    RoIAlign, NMS, the focal loss, deformable convolutions and others are compiled for float32 and float16 alone, on a
    CPU and on CUDA. What :func:`torch.amp.custom_fwd` does would leave float32 behind, which mmdet's extractor of RoIs
    refuses. Operators that are no :class:`torch.autograd.Function`, such as those of rotated boxes, stay as they are.

    Args:
        device: Its type, ``cpu`` or ``cuda``.
    """
    for operator in Function.__subclasses__():
        if operator.__module__.startswith('mmcv.ops.'):
            operator.forward = staticmethod(_forward(operator.forward, device))
            operator.backward = staticmethod(_in_float32(operator.backward, device))


def _forward(method: Callable, device: str) -> Callable:
    """An operator's forward, which gives back bfloat16 where the first tensor it takes has it."""
    in_float32 = _in_float32(method, device)

    @functools.wraps(method)
    def inner(ctx: Any, *args: Any) -> Any:
        found = in_float32(ctx, *args)
        first = next((value for value in args if isinstance(value, Tensor)), None)
        return apply_to(found, _is_float32, Tensor.bfloat16) if _is_bfloat16(first) else found

    return inner


def _in_float32(method: Callable, device: str) -> Callable:
    @functools.wraps(method)
    def inner(ctx: Any, *args: Any) -> Any:
        if not any(map(_is_bfloat16, args)):
            return method(ctx, *args)
        with torch.autocast(device, enabled=False):
            return method(ctx, *apply_to(args, _is_bfloat16, _as_float32))

    return inner


def _as_float32(value: Tensor) -> Tensor:
    # Some operators ask what they were given, or kept, whether it needs a gradient; a copy made by them does not say.
    return value.float().requires_grad_(value.requires_grad)


def _is_bfloat16(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype is torch.bfloat16


def _is_float32(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype is torch.float32
