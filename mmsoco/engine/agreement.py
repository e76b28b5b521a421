"""Whether all processes of a run hold the same."""

import hashlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.optim import Optimizer

from mmsoco.errors import UserError

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
#: Numbers that are looked at at a time, eight bytes each.
_PART = 1 << 22


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """A checksum of tensors' bits, made where they are.

    Of each tensor the sum of its numbers, taken as integers, times 1, 3, 5, ...,
    modulo 2^64: an odd factor loses no bit, so a change of a single number always
    shows; so does that two of up to 2^31 numbers of 32 bits are exchanged. One value a
    tensor is fetched, all at once.

    Returns:
        A SHA-256 over types, shapes and sums, in hexadecimal.
    """
    kinds, sums = [], {}
    for number, tensor in enumerate(tensors):
        kinds.append((str(tensor.dtype), tuple(tensor.shape)))
        sums.setdefault(tensor.device, []).append((number, _sum_of_bits(tensor.detach())))
    values = [0] * len(kinds)
    for of_device in sums.values():
        numbers, tensors = zip(*of_device, strict=True)
        for number, value in zip(numbers, torch.stack(tensors).tolist(), strict=True):
            values[number] = value
    return hashlib.sha256(repr((kinds, values)).encode()).hexdigest()


def _sum_of_bits(tensor: Tensor) -> Tensor:
    flat = torch.view_as_real(tensor).reshape(-1) if tensor.is_complex() else tensor.reshape(-1)
    total = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for number, part in enumerate(flat.view(_INTEGERS[flat.element_size()]).split(_PART)):
        factors = torch.arange(len(part), device=tensor.device).add_(number * _PART).mul_(2).add_(1)
        total += (part.long() * factors).sum()
    return total


def parts_of(model: nn.Module, optimizers: Iterable[Optimizer]) -> dict[str, str]:
    """Checksums of what is to be the same in all processes: name -> :func:`fingerprint`.

    Statistics of BN that is not synchronised differ, and so do the states of an
    optimizer that divides them among processes.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.SyncBatchNorm)]
    return {
        'parameters': fingerprint(model.parameters()),
        'statistics of SyncBN': fingerprint(buffer for norm in norms for buffer in norm.buffers()),
        "optimizer's state": fingerprint(_states(optimizers)),
    }


def _states(optimizers: Iterable[Optimizer]) -> Iterator[Tensor]:
    for optimizer in optimizers:
        if not isinstance(optimizer, ZeroRedundancyOptimizer):
            for group in optimizer.param_groups:
                for parameter in group['params']:
                    state = optimizer.state.get(parameter, {})
                    yield from (state[name] for name in sorted(state) if isinstance(state[name], Tensor))


def require_same(held: list[tuple[str, dict]], advice: str) -> None:
    """Refuse to go on where processes do not hold the same.

    Args:
        held: Of each process its machine's name, and name -> value.
        advice: What to do about it.

    Raises:
        UserError: With the first process that holds something else than the first one, and what that is.
    """
    (host, first), *others = held
    for rank, (other, values) in enumerate(others, 1):
        different = [name for name in first if first[name] != values.get(name)]
        if different:
            at = f'step {values["step"]} instead of {first["step"]}' if 'step' in different else ', '.join(different)
            raise UserError(
                f'process {rank} on {other} has other weights than process 0 on {host} ({at}): training would mix '
                f'them; {advice}'
            )
