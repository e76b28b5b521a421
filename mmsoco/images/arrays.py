"""Images in NumPy's files: (H, W), (H, W, C) or (C, H, W), whichever of the first and the last axis is the shorter."""

import io
import math
from typing import BinaryIO, NamedTuple

import numpy as np

from mmsoco.images.decoders import Samples, Undecodable

_MAGIC = b'\x93NUMPY'


class _Header(NamedTuple):
    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype
    start: int

    @property
    def channels_first(self) -> bool:
        return len(self.shape) == 3 and self.shape[0] < min(self.shape[1:])


def is_array(prefix: bytes) -> bool:
    """Whether a file is a ``.npy``, by its first 6 bytes or more."""
    return prefix.startswith(_MAGIC)


def _header(file: BinaryIO) -> _Header:
    """Raises :class:`Undecodable` where it is broken, or of no image."""
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        header = _Header(*read(file), file.tell())
    # Of a broken header, NumPy may say anything.
    except Exception as error:
        raise Undecodable(f'a NumPy array with a broken header ({error})') from None
    if header.dtype.kind not in 'buif':
        raise Undecodable(f'a NumPy array of {header.dtype}, which is no image; save numbers')
    if len(header.shape) not in (2, 3) or min(header.shape) < 1:
        raise Undecodable(f'a NumPy array of shape {header.shape}, which is no image; save (H, W) or (H, W, C)')
    return header


def size_of(file: BinaryIO) -> tuple[int, int]:
    """(width, height), by the header.

    Raises:
        Undecodable: It is broken, or of no image.
    """
    header = _header(file)
    height, width = header.shape[1:] if header.channels_first else header.shape[:2]
    return width, height


def nbytes_of(file: BinaryIO) -> int:
    """Bytes of memory that the array takes."""
    header = _header(file)
    return math.prod(header.shape) * header.dtype.itemsize


def decode(data: bytes) -> Samples:
    """All of an array.

    Raises:
        Undecodable: It is broken, cut off, or of no image.
    """
    header = _header(io.BytesIO(data))
    count = math.prod(header.shape)
    if len(data) < header.start + count * header.dtype.itemsize:
        raise Undecodable('a NumPy array that ends early')
    array = np.frombuffer(data, header.dtype, count, header.start)
    return Samples(_channels_last(array.reshape(header.shape, order='F' if header.is_fortran else 'C'), header))


def read_window(file: BinaryIO, window: tuple[int, int, int, int]) -> Samples | None:
    """Some pixels of an array, of which the others are not read; None where the file cannot be mapped.

    Raises:
        Undecodable: It is broken, cut off, or of no image.
    """
    header = _header(file)
    try:
        file.fileno()
    except (OSError, AttributeError):  # in an archive
        return None
    order = 'F' if header.is_fortran else 'C'
    try:
        array = np.memmap(file, header.dtype, 'r', header.start, header.shape, order)
    except ValueError:
        raise Undecodable('a NumPy array that ends early') from None
    x, y, width, height = window
    return Samples(np.array(_channels_last(array, header)[y : y + height, x : x + width]))


def _channels_last(array: np.ndarray, header: _Header) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]
    elif header.channels_first:
        array = np.moveaxis(array, 0, 2)
    return array.astype(array.dtype.newbyteorder('='), copy=False)
