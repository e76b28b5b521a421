"""Samples to a batch whose tensors lie in one piece of memory: one copy from worker to device, not one a tensor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

from mmsoco.registry import FUNCTIONS

#: Bytes at whose multiples tensors begin, as torch's own do on CUDA.
ALIGNMENT = 512


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a batch's memory a tensor lies: its first byte, its type, and its shape."""

    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.dtype.itemsize * prod(self.shape)

    def of(self, memory: Tensor) -> Tensor:
        """The tensor."""
        return memory[self.start : self.end].view(self.dtype).view(self.shape)


class Batch(dict):
    """A batch, as nested dicts, lists and tuples of tensors, that travels as one.

    What is put into it later travels on its own.

    Args:
        memory: (bytes,) uint8.
        content: Nested; a :class:`Place` in them becomes the tensor that lies there.
    """

    def __init__(self, memory: Tensor, content: Mapping):
        super().__init__(_each(content, lambda part: part.of(memory) if isinstance(part, Place) else part))
        self.memory = memory

    def __reduce__(self):
        # Of all tensors of the memory, the memory alone is handed from process to process.
        return Batch, (self.memory, self._placed())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> 'Batch':
        """This batch on a device."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> 'Batch':
        """This batch in memory from which a device copies by itself; a loader's thread calls it."""
        return self._moved(Tensor.pin_memory)

    def _moved(self, move: Callable[[Tensor], Tensor]) -> 'Batch':
        others = _each(self._placed(), lambda part: move(part) if isinstance(part, Tensor) else part)
        return Batch(move(self.memory), others)

    def _placed(self) -> dict:
        """The content, with places for the tensors of the memory."""
        start, own = self.memory.data_ptr(), self.memory.untyped_storage().data_ptr()

        def place(part: Any) -> Any:
            if isinstance(part, Tensor) and part.is_contiguous() and part.untyped_storage().data_ptr() == own:
                return Place(part.data_ptr() - start, part.dtype, tuple(part.shape))
            return part

        return _each(self, place)


@FUNCTIONS.register_module()
def one_batch(samples: list[Mapping]) -> Batch:
    """What torch's ``default_collate`` makes of samples, in one piece of memory, which workers share.

    Args:
        samples: Nested dicts with equal keys of arrays, tensors and numbers, equal in shape and type.

    Raises:
        RuntimeError: Arrays of different shapes, in ``default_collate``'s words.
    """
    parts: list[tuple[Place, list[np.ndarray]]] = []
    content = _laid_out(samples, parts)
    memory = _memory(parts[-1][0].end if parts else 0)
    for place, arrays in parts:
        rows = place.of(memory).numpy()
        for i, array in enumerate(arrays):
            rows[i] = array
    return Batch(memory, content)


def _laid_out(samples: list, parts: list[tuple[Place, list[np.ndarray]]]) -> Any:
    """Places, one after the other, for what can be stacked; the rest as ``default_collate`` has it."""
    first = samples[0]
    if isinstance(first, Mapping):
        return {key: _laid_out([sample[key] for sample in samples], parts) for key in first}
    if not isinstance(first, np.ndarray | Tensor | bool | int | float | np.generic):
        return default_collate(samples)
    arrays = [np.asarray(sample) for sample in samples]
    shape, dtype = arrays[0].shape, arrays[0].dtype
    # Words and dates are for it to take or refuse, too.
    if dtype.kind not in 'biufc' or any(array.shape != shape or array.dtype != dtype for array in arrays):
        return default_collate(samples)
    end = parts[-1][0].end if parts else 0
    start = -(-end // ALIGNMENT) * ALIGNMENT
    place = Place(start, torch.from_numpy(np.empty(0, dtype)).dtype, (len(arrays), *shape))
    parts.append((place, arrays))
    return place


def _memory(count: int) -> Tensor:
    if get_worker_info() is None:
        return torch.empty(count, dtype=torch.uint8)
    # As default_collate does: what is written here need not be copied to be handed on.
    return torch.empty(0, dtype=torch.uint8).set_(torch.UntypedStorage._new_shared(count))


def _each(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Nested dicts, lists and tuples with changed leaves."""
    if isinstance(tree, Mapping):
        return {key: _each(part, change) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [_each(part, change) for part in tree]
        return type(tree)(*parts) if hasattr(tree, '_fields') else type(tree)(parts)
    return change(tree)
