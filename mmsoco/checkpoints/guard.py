"""Reading weights by the rules of :mod:`mmsoco.checkpoints.files` in every library beneath this one."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from mmengine.fileio import PickleHandler, register_handler
from mmengine.runner import CheckpointLoader
from mmengine.structures import InstanceData

from mmsoco.checkpoints.files import FORCE, check_whole, load, read_described_safetensors
from mmsoco.errors import UserError, reason
from mmsoco.plain_pickle import NotPlain, PlainUnpickler

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
    if checkpoint is not None and (path := local_path(checkpoint)) is not None:
        check_whole(path, trust=trust)
        _trusted = os.path.realpath(path) if trust else None


def local_path(name: str | os.PathLike) -> Path | None:
    """The path that a name of weights stands for; None where they are fetched."""
    return _path(name) if CheckpointLoader._get_checkpoint_loader(str(name)) is load_from_local else None


def _path(name: str | os.PathLike) -> Path:
    return Path(str(name).removeprefix('file://')).expanduser()


@functools.wraps(getattr(torch.load, '__wrapped__', torch.load))
def _load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **others) -> Any:
    is_path = isinstance(f, (str, os.PathLike))
    return load(f, map_location, trust=is_path and os.path.realpath(f) == _trusted, mmap=mmap)


def load_from_local(filename: str, map_location=None) -> Any:
    """mmengine's loader of paths, which takes ``file://`` as well; here also ``.safetensors``."""
    path = _path(filename)
    return read_described_safetensors(path) if path.suffix == '.safetensors' else torch.load(path, map_location)


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


class _DataUnpickler(PlainUnpickler):
    """Makes tensors, too, and mmengine's own InstanceData, as data sets of mmdet expect them."""

    RECORDS: ClassVar = {('mmengine.structures.instance_data', 'InstanceData'): InstanceData}
    REFUSAL: ClassVar = 'which could run code; save arrays, tensors and containers'
    _TENSORS: ClassVar = {
        ('torch', 'Size'): torch.Size,
        # Reads what is in it by torch.load.
        ('torch.storage', '_load_from_bytes'): torch.storage._load_from_bytes,
        ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    }

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        return self._TENSORS.get((module, name)) or super().find_class(module, name)


class DataPickleHandler(PickleHandler):
    """mmengine's, for data alone."""

    def load_from_fileobj(self, file: IO[bytes], **kwargs) -> Any:
        """What is in an open file."""
        try:
            return _DataUnpickler(file, **kwargs).load()
        except NotPlain as error:
            raise UserError(f'a pickle of data {error}') from None
        except UserError:
            raise
        except Exception as error:  # of bytes that are no pickle, anything
            raise UserError(f'a pickle of data cannot be read ({reason(error, bare=True)}); save it again') from None
