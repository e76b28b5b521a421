"""What is different in two checkpoints."""

import torch


def differences(one, other, place=''):
    """Where two checkpoints differ, apart from times and paths."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key in ('time', 'cfg', 'last_ckpt', 'experiment_name', 'eta'):
                continue
            yield from differences(one.get(key), other.get(key), f'{place}.{key}')
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for i, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f'{place}.{i}')
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield place
    elif one != other:
        yield place
