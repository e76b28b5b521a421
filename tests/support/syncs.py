"""Seeing where the host would wait for a device, on any machine."""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode

#: Operations that need a value, or a count of values, on the host.
WAITING = ('aten._local_scalar_dense', 'aten.nonzero', 'aten.masked_select', 'aten.unique', 'aten.equal', 'aten.lift')


class _Recorder(TorchDispatchMode):
    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        indexes = args[1] if name.startswith(('aten.index.', 'aten.index_put')) else ()
        by_mask = any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in indexes)
        if name.startswith(WAITING) or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def syncs():
    """A list of the operations that would wait; ``aten.lift`` is a tensor made of numbers, which would be copied."""
    found = []
    with _Recorder(found):
        yield found
