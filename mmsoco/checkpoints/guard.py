"""Reading weights by the rules of :mod:`mmsoco.checkpoints.files` in every library beneath this one."""

import functools
import os
import pickle
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from mmengine.fileio import PickleHandler, register_handler
from mmengine.runner import CheckpointLoader

from mmsoco.checkpoints.files import FORCE, check_whole, load
from mmsoco.errors import UserError, reason

_trusted: str | None = None


def guard_loading(checkpoint: str | None = None, trust: bool = False) -> None:
    """From now on nothing in this process, or in one that it starts, runs code that is in a file of weights.

    Whoever asks for weights, in whichever scope: ``load_from``, ``resume``,
    ``init_cfg``, a scheme of mmengine's, ``torch.hub``. What is fetched is checked as
    local files are. Pickles that mmengine reads for data sets may hold
    arrays, tensors and containers.

    Args:
        checkpoint: What the run begins with, if anything; a path is checked now.
        trust: This file alone may run code.

    Raises:
        UserError: The checkpoint is refused.
    """
    global _trusted
    os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)
    os.environ[FORCE] = '1'
    torch.load = torch.serialization.load = _load
    # Where a pattern is fetched from, and everything else: a path.
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    for scheme, loader in list(CheckpointLoader._schemes.items()):
        if scheme and not hasattr(loader, '__wrapped__'):
            CheckpointLoader.register_scheme(scheme, _in_one_line(loader), force=True)
    register_handler(['pkl', 'pickle'])(DataPickleHandler)
    if checkpoint is not None and CheckpointLoader._get_checkpoint_loader(str(checkpoint)) is load_from_local:
        check_whole(_path(checkpoint), trust=trust)
        _trusted = os.path.realpath(_path(checkpoint)) if trust else None


def _path(name: str | os.PathLike) -> Path:
    return Path(str(name).removeprefix('file://')).expanduser()


@functools.wraps(getattr(torch.load, '__wrapped__', torch.load))
def _load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **others) -> Any:
    is_path = isinstance(f, (str, os.PathLike))
    return load(f, map_location, trust=is_path and os.path.realpath(f) == _trusted, mmap=mmap)


def load_from_local(filename: str, map_location=None) -> Any:
    """mmengine's loader of paths, which takes ``file://`` as well."""
    return torch.load(_path(filename), map_location)


def _in_one_line(loader: Callable) -> Callable:
    """A loader that fetches; what goes wrong on the way is the user's to mend."""

    @functools.wraps(loader)
    def fetch(filename: str, map_location=None, **options) -> Any:
        try:
            return loader(filename, map_location, **options)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f'{filename} cannot be fetched ({reason(error)}); download it and give the file') from None

    return fetch


def _dtype(code: str, *_: Any) -> np.dtype:
    if not re.fullmatch(r'[biufc][0-9]{1,2}|[SU][0-9]+', code):
        raise UserError(f'a pickle of data holds an array of {code!r}; save arrays of numbers')
    return np.dtype(code)


def _bytes_of(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':  # as pickle writes bytes by its protocol 2
        raise UserError(f'a pickle of data holds bytes by {encoding!r}; save arrays, tensors and containers')
    return text.encode(encoding)


_ARRAYS = {
    ('multiarray', '_reconstruct'): lambda *_: np.empty(0),
    ('multiarray', 'scalar'): lambda of, content: np.frombuffer(content, of)[0],
    ('numeric', '_frombuffer'): lambda content, of, shape, order: np.ndarray(shape, of, content, order=order),
}


# The one in Python: how an object gets its state can be looked at there.
class _DataUnpickler(pickle._Unpickler):
    """Makes what mmdet's files of boxes and annotations hold: arrays of numbers, never of objects out of bytes."""

    _KNOWN = {
        **{
            (f'numpy.{core}.{module}', name): make
            for core in ('core', '_core')
            for (module, name), make in _ARRAYS.items()
        },
        # Only named, as the class of what _reconstruct makes.
        ('numpy', 'ndarray'): None,
        ('numpy', 'dtype'): _dtype,
        ('builtins', 'set'): set,
        ('__builtin__', 'set'): set,  # by protocol 2
        ('collections', 'OrderedDict'): OrderedDict,
        ('collections', 'defaultdict'): defaultdict,
        ('_codecs', 'encode'): _bytes_of,
        ('torch', 'Size'): torch.Size,
        # Reads what is in it by torch.load.
        ('torch.storage', '_load_from_bytes'): torch.storage._load_from_bytes,
        ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    }

    def load_build(self) -> None:
        """Give an object its state: the order of a dtype's bytes, an array's numbers, the fields of InstanceData."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            self._replace(target, target.newbyteorder(state[1]))
        elif isinstance(target, np.ndarray):
            _, shape, of, in_columns, content = state
            array = np.ndarray(shape, of, content, order='F' if in_columns else 'C')
            self._replace(target, array.copy('K'))
        elif type(target).__name__ == 'InstanceData' and isinstance(state, dict):
            vars(target).update(state)
        else:
            raise UserError(f'a pickle of data sets a state of {type(target).__name__}; save arrays and containers')

    def _replace(self, former: Any, value: Any) -> None:
        """Put a value where another one stands, also where the pickle refers to it later."""
        self.stack[-1] = value
        self.memo.update({key: value for key, one in self.memo.items() if one is former})

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ('mmengine.structures.instance_data', 'InstanceData'):
            return super().find_class(module, name)
        if (module, name) not in self._KNOWN:
            raise UserError(
                f'a pickle of data holds {module}.{name}, which could run code; save arrays, tensors and containers'
            )
        return self._KNOWN[module, name]


class DataPickleHandler(PickleHandler):
    """mmengine's, for data alone."""

    def load_from_fileobj(self, file: IO[bytes], **kwargs) -> Any:
        """What is in an open file."""
        try:
            return _DataUnpickler(file, **kwargs).load()
        except UserError:
            raise
        except Exception as error:  # of bytes that are no pickle, anything
            raise UserError(f'a pickle of data cannot be read ({reason(error, bare=True)}); save it again') from None
