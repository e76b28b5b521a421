"""In which precision a training computes: what is asked for, and what then runs."""

import os
from collections.abc import Iterable

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from mmsoco.config import is_pretraining
from mmsoco.errors import UserError

#: What ``--amp`` takes, and torch's names.
PRECISIONS = {'fp16': 'float16', 'bf16': 'bfloat16'}
#: Arguments that wrappers with loss scaling alone have.
_OF_SCALING = ('loss_scale', 'dtype', 'use_fsdp')


def set_amp(cfg: Config, amp: bool | str | None) -> None:
    """Choose the precision: mixed when asked for or, for pretraining on CUDA, by default.

    Args:
        cfg: Config of a training; changed in place.
        amp: ``fp16``, with loss scaling, or ``bf16``, without; True for fp16 on CUDA, if
            the config says no other, and bf16 on a CPU; False for none; None leaves it to
            the default, and mmdet's configs as they are.

    Raises:
        UserError: The device cannot compute in it.
    """
    cuda = torch.cuda.is_available()
    pretraining = is_pretraining(cfg)
    of_config = _name(cfg.optim_wrapper.get('type'))
    if amp is False:
        _set(cfg, 'mmsoco.FiniteOptimWrapper' if pretraining else 'OptimWrapper')
        return
    if amp is None and not cuda and of_config.endswith('AmpOptimWrapper') and of_config != 'CPUAmpOptimWrapper':
        raise UserError(
            f'the config trains by {of_config}, which needs CUDA; --amp computes in bfloat16 on a CPU, --no-amp in '
            'full precision'
        )
    in_bfloat16 = of_config in ('BFloat16OptimWrapper', 'CPUAmpOptimWrapper')
    if amp is None and (pretraining if in_bfloat16 else not (cuda and pretraining)):
        return
    if amp == 'bf16' or (amp is None and in_bfloat16) or (not cuda and amp is True):
        if cuda and not (torch.version.hip or torch.cuda.get_device_capability() >= (8, 0)):
            raise UserError(
                f'--amp bf16: {torch.cuda.get_device_name()} has no bfloat16, which cards have from compute capability '
                '8.0 on (A100, RTX 30); use --amp fp16'
            )
        # In mmengine's loops nobody would see that steps are skipped.
        _set(cfg, 'mmsoco.BFloat16OptimWrapper' if pretraining else 'mmsoco.AutocastOptimWrapper')
        return
    if not cuda:
        raise UserError('--amp fp16 needs CUDA; a CPU computes in bfloat16: --amp bf16')
    scaled = {key: cfg.optim_wrapper[key] for key in _OF_SCALING if key in cfg.optim_wrapper}
    if amp == 'fp16':
        scaled['dtype'] = PRECISIONS[amp]
    _set(cfg, 'mmsoco.FiniteAmpOptimWrapper' if pretraining else 'AmpOptimWrapper', **scaled)


def _name(kind: str | type | None) -> str:
    return kind.__name__ if isinstance(kind, type) else (kind or 'OptimWrapper').rpartition('.')[2]


def _set(cfg: Config, kind: str, **scaled) -> None:
    for option in _OF_SCALING:
        cfg.optim_wrapper.pop(option, None)
    cfg.optim_wrapper.update(type=kind, **scaled)


def set_tf32(allowed: bool | None) -> None:
    """Let CUDA compute products of float32 in TF32, which has float16's 10 bits of mantissa.

    Args:
        allowed: ``env_cfg.tf32`` of a config: True in convolutions and matrix products, False in
            neither. None leaves torch's own choice, TF32 in convolutions alone, as mmdet's and
            others' figures were made by on such cards.

    Raises:
        UserError: It is something else.
    """
    if allowed is None:
        return
    if not isinstance(allowed, bool):
        raise UserError(f'env_cfg.tf32 {allowed!r} is neither True nor False; set one, or leave it out')
    # By these names in all versions; since 2.9 torch does not take them beside others that a config may have set.
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def describe_precision(model: nn.Module, optim_wrapper: OptimWrapper | OptimWrapperDict) -> str:
    """What a training step computes in, read from what was built.

    Args:
        model: The model, or what distributes it.
        optim_wrapper: Its own.
    """
    words = ' and '.join(dict.fromkeys(_of_wrapper(model, wrapper) for wrapper in _each(optim_wrapper)))
    return f'{words}{_of_float32(_device(model))}'


def is_in_bfloat16(model: nn.Module, optim_wrapper: OptimWrapper | OptimWrapperDict) -> bool:
    """Whether a training step computes by autocast to bfloat16; arguments as above."""
    return any(_autocast_of(model, wrapper) is torch.bfloat16 for wrapper in _each(optim_wrapper))


def describe_evaluation(model: nn.Module, fp16: bool) -> str:
    """The same of a test; ``fp16``: as the config's ``test_cfg`` says."""
    device = _device(model)
    # mmengine's autocast takes the device's own type.
    words = f'{_short(torch.get_autocast_dtype(device.type))} by autocast' if fp16 else _weights(model)
    return f'{words}{_of_float32(device)}'


def _each(optim_wrapper: OptimWrapper | OptimWrapperDict) -> Iterable[OptimWrapper]:
    return optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]


def _autocast_of(model: nn.Module, wrapper: OptimWrapper) -> torch.dtype | None:
    device = _device(model).type
    with wrapper.optim_context(model):
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def _of_wrapper(model: nn.Module, wrapper: OptimWrapper) -> str:
    compute = _autocast_of(model, wrapper)
    scaler = getattr(wrapper, 'loss_scaler', None)
    scaling = 'with' if scaler is not None and scaler.is_enabled() else 'without'
    if compute is None:
        return _weights(model) + (' with loss scaling' if scaling == 'with' else '')
    return f'{_short(compute)} by autocast, {scaling} loss scaling, weights in {_weights(model)}'


def _weights(model: nn.Module) -> str:
    return '/'.join(sorted({_short(p.dtype) for p in model.parameters()}))


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def in_tf32(device: torch.device) -> dict[str, bool]:
    """Which products of float32 are computed in TF32; of a device that has none (below capability 8.0) nothing."""
    if device.type != 'cuda' or torch.version.hip or torch.cuda.get_device_capability(device) < (8, 0):
        return {}
    parts = {'convolutions': _conv_in_tf32(), 'matrix products': _matmul_in_tf32()}
    # The libraries below torch hear this one alone.
    return dict.fromkeys(parts, _override() == '1') if _override() else parts


def _override() -> str | None:
    override = os.environ.get('NVIDIA_TF32_OVERRIDE')
    return override if override in ('0', '1') else None


def _of_float32(device: torch.device) -> str:
    parts = in_tf32(device)
    if not parts:
        return ''
    used = [name for name, it_is in parts.items() if it_is]
    words = 'TF32 in ' + ' and '.join(used) if used else 'no TF32'
    return f'; of float32, {words}' + (f' (NVIDIA_TF32_OVERRIDE={_override()})' if _override() else '')


def _matmul_in_tf32() -> bool:
    # Since torch 2.9 reading the former name fails where the new one was set.
    precision = getattr(torch.backends.cuda.matmul, 'fp32_precision', None)
    return torch.backends.cuda.matmul.allow_tf32 if precision is None else precision == 'tf32'


def _conv_in_tf32() -> bool:
    precision = getattr(getattr(torch.backends.cudnn, 'conv', None), 'fp32_precision', None)
    return torch.backends.cudnn.allow_tf32 if precision is None else precision == 'tf32'
