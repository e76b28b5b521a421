"""Reading checkpoint files, without running code that they may hold."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from mmsoco.errors import UserError


def read_checkpoint(path: str | os.PathLike, allow: Sequence[type] = ()) -> dict:
    """Load a checkpoint to the CPU.

    Args:
        allow: Types that it may hold besides.

    Raises:
        UserError: There is no such file, it is not a checkpoint, or it holds
            more than tensors and plain values.
    """
    if not Path(path).is_file():
        raise UserError(f'{path} does not exist; give a checkpoint, for instance work_dirs/NAME/epoch_100.pth')
    try:
        with torch.serialization.safe_globals(list(allow)):
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # bytes that are no pickle can make its reader raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f'{path} is no checkpoint of tensors and plain values ({reason})') from None
    if not isinstance(checkpoint, dict):
        raise UserError(f'{path} holds a {type(checkpoint).__name__} instead of a checkpoint')
    return checkpoint
