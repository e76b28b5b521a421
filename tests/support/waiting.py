"""Finding what would wait for a GPU, on any machine."""

from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

#: Fetch a value, or find a shape by values.
WAITING = {
    '_local_scalar_dense',
    'nonzero',
    'nonzero_numpy',
    'masked_select',
    'unique_dim',
    'unique_consecutive',
    'unique_dim_consecutive',
    '_unique2',
    'bincount',
    'equal',
    'is_nonzero',
}
#: Methods that on a CPU need no operation.
FETCHING = ('item', 'tolist', 'cpu', 'numpy', '__bool__', '__float__', '__int__', '__index__', '__array__')
#: Make a tensor of Python's numbers, which has to be copied to the device.
CONSTANTS = ('tensor', 'as_tensor')


class WaitsForDevice(AssertionError):
    """On a GPU it would."""


class _NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masked = name in ('index', 'index_put', 'index_put_', '_index_put_impl_') and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        # One of Python's numbers, which would have to be copied to the device (seen on a GPU).
        filled = name.startswith(('index_put', '_index_put')) and args[2].ndim == 0
        # Its number of rows is the sum of a tensor, unless that is said.
        repeats = name == 'repeat_interleave' and (kwargs or {}).get('output_size') is None
        if masked or filled or repeats or name in WAITING:
            raise WaitsForDevice(f'{func} of {args[0].shape}')
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting():
    """Fail where something would wait for a GPU if the tensors were there."""

    def refusing(name):
        def method(tensor, *args, **kwargs):
            raise WaitsForDevice(f'Tensor.{name} of {tuple(tensor.shape)}')

        return method

    def refuse(*args, **kwargs):
        raise WaitsForDevice(f'a constant is made of {args[0]}')

    with _NoWaiting(), mock.patch.multiple(torch, **dict.fromkeys(CONSTANTS, refuse)):
        methods = {name: refusing(name) for name in FETCHING}
        with mock.patch.multiple(Tensor, new_tensor=refuse, **methods):
            yield
