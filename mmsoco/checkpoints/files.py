"""Reading checkpoint files, without running code that they may hold."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch

from mmsoco.errors import UserError


def _require_file(path: str | os.PathLike) -> None:
    if not Path(path).is_file():
        raise UserError(f'{path} does not exist; give a checkpoint, for instance work_dirs/NAME/epoch_100.pth')


def check_whole(path: str | os.PathLike) -> None:
    """Refuse a checkpoint file that is missing, cut short or something else, at little cost.

    Raises:
        UserError: With what to do.
    """
    _require_file(path)
    with open(path, 'rb') as file:
        beginning = file.read(2)
    # A zip file, whose table of contents is at its end; or a pickle, as PyTorch wrote before 1.6.
    if beginning == b'PK' and not zipfile.is_zipfile(path):
        raise UserError(f'{path} is cut short; copy it again')
    if beginning == b'PK':
        with zipfile.ZipFile(path) as archive:
            saved = any(name.endswith('/data.pkl') for name in archive.namelist())
    else:
        saved = beginning[:1] == b'\x80'
    if not saved:
        raise UserError(f'{path} is no checkpoint; give a file that PyTorch saved')


def read_checkpoint(path: str | os.PathLike, allow: Sequence[type] = ()) -> dict:
    """Load a checkpoint to the CPU.

    Args:
        allow: Types that it may hold besides.

    Raises:
        UserError: There is no such file, it is not a checkpoint, or it holds
            more than tensors and plain values.
    """
    _require_file(path)
    try:
        with torch.serialization.safe_globals(list(allow)):
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # bytes that are no pickle can make its reader raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if reason.startswith('Weights only'):
            raise UserError(
                f'{path} is no checkpoint of tensors and plain values: reading it could run code, as with the log that '
                "mmengine's own CheckpointHook adds; if you trust it, write its state_dict to a file of its own"
            ) from None
        raise UserError(f'{path} is no checkpoint of tensors and plain values ({reason})') from None
    if not isinstance(checkpoint, dict):
        raise UserError(f'{path} holds a {type(checkpoint).__name__} instead of a checkpoint')
    return checkpoint


def read_meta(path: str | os.PathLike) -> dict:
    """A checkpoint's ``meta``, without reading its tensors.

    Raises:
        UserError: It cannot be read, or has none.
    """
    _require_file(path)
    try:
        meta = torch.load(path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path))['meta']
    except Exception as error:  # as above
        check_whole(path)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f'{path} is no checkpoint of a run ({reason})') from None
    if not isinstance(meta, dict):
        raise UserError(f'{path} is no checkpoint of a run: its meta is a {type(meta).__name__}')
    return meta
