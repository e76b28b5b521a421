"""TIFF: by Pillow where it has the type, else by tifffile, or by OpenCV where a compression is not tifffile's own.

Of large files a window is read without the rest.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from mmsoco.errors import reason
from mmsoco.images.decoders import Samples, Undecodable, broken, by_opencv, by_pillow, outside
from mmsoco.images.orientation import is_turned, upright

_BEGINNINGS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
#: Numbers of tags (TIFF 6.0).
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 259, 262, 274, 277
_PLANES, _TILE_WIDTH, _TILE_HEIGHT, _FORMAT, _NODATA = 284, 322, 323, 339, 42113  # the last is GDAL's
#: Kinds of colours (PhotometricInterpretation).
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK, _YCBCR, _LOG_L, _LOG_LUV = 0, 1, 2, 5, 6, 32844, 32845
#: Those of which samples are grey or RGB as they are decoded; the logarithms are OpenCV's to decode.
_PLAIN = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _LOG_L, _LOG_LUV)
#: MinSampleValue and MaxSampleValue, and those of any type.
_DECLARED = ((340, 341), (280, 281))
#: So many are counted.
_MOST_PAGES = 100
CODECS_MISSING = "needs another package: pip install 'mmsoco[images]'"

# What it thinks of a file is for its message, not for the screen.
logging.getLogger('tifffile').addHandler(logging.NullHandler())
logging.getLogger('tifffile').propagate = False


def is_tiff(prefix: bytes) -> bool:
    """Whether a file is TIFF or BigTIFF, by its first 4 bytes or more."""
    return prefix.startswith(_BEGINNINGS)


class Tags:
    """What the header of the first page says.

    Args:
        file: The file, from its beginning.

    Raises:
        Undecodable: It is broken.
    """

    def __init__(self, file: BinaryIO):
        try:
            file.seek(0)
            header = file.read(16)
            tags = TiffImagePlugin.ImageFileDirectory_v2(header if 43 in header[2:4] else header[:8])
            file.seek(tags.next)
            tags.load(file)
            self._tags = dict(tags)
            self.stored = self._number(_WIDTH, 0), self._number(_HEIGHT, 0)
            self.tile = self._number(_TILE_WIDTH, 0), self._number(_TILE_HEIGHT, 0)
            self.samples = self._number(_SAMPLES, 1)
            self.bits = max(np.atleast_1d(self._tags.get(_BITS, 1)).tolist())
            self.orientation = self._number(_ORIENTATION, 1)
            self.photometric = self._number(_PHOTOMETRIC, 1)
            self.is_jpeg = self._number(_COMPRESSION, 1) in (6, 7)
            self.has_planes = self.samples > 1 and self._number(_PLANES, 1) == 2
            self.is_unsigned = self._number(_FORMAT, 1) == 1
            self.nodata = self._number_in_words(_NODATA)
        # Of a broken header, Pillow may say anything.
        except Exception as error:
            raise Undecodable(f'a TIFF with a broken header ({reason(error, bare=True)})') from None
        if min(self.stored) < 1:
            raise Undecodable('a TIFF with a broken header (it has no size)')

    def _number(self, tag: int, default: int) -> int:
        value = self._tags.get(tag, default)
        return int(value[0] if isinstance(value, tuple) else value)

    def _number_in_words(self, tag: int) -> float | None:
        with suppress(ValueError):
            return float(str(self._tags[tag]).strip('\0 ')) if tag in self._tags else None
        return None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), upright."""
        width, height = self.stored
        return (height, width) if is_turned(self.orientation) else (width, height)

    @property
    def decoded(self) -> tuple[int, int]:
        """(width, height) of what is decoded at once, at most."""
        return tuple(map(max, self.stored, self.tile))

    @property
    def nbytes(self) -> int:
        """Of all samples of the first page."""
        return math.prod(self.decoded) * self.samples * -(-self.bits // 8)

    def declared(self) -> tuple[float, float] | None:
        """The darkest and the brightest value, where it is said and more than the type's own."""
        for low, high in _DECLARED:
            # Of 8 bits, Pillow shows all as they are.
            if self.bits > 8 and low in self._tags and high in self._tags:
                # One for each sample; they share a range here.
                ends = float(np.min(self._tags[low])), float(np.max(self._tags[high]))
                if ends[0] < ends[1] and ends != (0, 2**self.bits - 1):
                    return ends
        if self.bits not in (8, 16, 32, 64) and self.bits < 32:
            return 0, 2**self.bits - 1
        return None


def decode(data: bytes, channels: int) -> Samples:
    """The samples of the first page, or of all where a series of grey pages has as many as channels are asked for.

    Raises:
        Undecodable: With the reason.
    """
    tags, why = Tags(BytesIO(data)), None
    # Of planes without colours, Pillow takes the first alone.
    has_grey_planes = tags.has_planes and tags.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    if tags.bits <= 8 and tags.samples <= 4 and channels in (1, 3) and tags.is_unsigned and not has_grey_planes:
        try:
            samples = by_pillow(_opened(data), channels)
        except Undecodable as error:
            why = error
        else:
            return samples if samples.frames == 1 else samples._replace(frames=_count_frames(data))
    try:
        return _by_tifffile(data, tags, channels)
    except Undecodable as error:
        raise why or error from None


def _count_frames(data: bytes) -> int:
    with _open(BytesIO(data)) as tiff:
        return _frames(tiff)


def _frames(tiff: tifffile.TiffFile) -> int:
    """Pages that are no smaller copies of others, nor masks; a list of pages that has no end is not followed to it."""
    count = 0
    with suppress(IndexError):
        for number in range(_MOST_PAGES):
            page = tiff.pages[number].aspage()
            count += not page.is_reduced and not page.is_mask
    return max(1, count)


def _has_pages_of_channels(tiff: tifffile.TiffFile, tags: Tags, channels: int) -> bool:
    """Whether a channel is a page, as some formats keep them: asked for grey or RGB, pages are images."""
    return tags.samples == 1 and channels not in (1, 3) and tiff.series[0].shape[:-2] == (channels,)


def _opened(data: bytes) -> Image.Image:
    try:
        return TiffImagePlugin.TiffImageFile(BytesIO(data), '')
    except Exception as error:
        raise Undecodable(broken('TIFF', error)) from None


def _by_tifffile(data: bytes, tags: Tags, channels: int) -> Samples:
    with _open(BytesIO(data)) as tiff:
        page, frames = tiff.pages[0], 1
        try:
            if _has_pages_of_channels(tiff, tags, channels):
                array = np.moveaxis(tiff.series[0].asarray(), 0, 2)
            else:
                array, frames = _channels_last(page.asarray(), page.axes), _frames(tiff)
        except (ValueError, RuntimeError) as error:
            if not _lacks_codec(error):
                raise
            array = _without_codec(data, tags, error)
    if array.ndim != 3 or array.shape[1::-1] != tags.stored or array.dtype.kind not in 'buif':
        raise Undecodable(f'a TIFF that is damaged (it has {array.dtype} of shape {array.shape})')
    return _samples(upright(_colours(array, tags, channels), tags.orientation), tags, frames)


def _samples(array: np.ndarray, tags: Tags, frames: int) -> Samples:
    is_negative = tags.photometric == _WHITE_IS_ZERO
    return Samples(array, tags.declared(), frames, is_negative, tags.nodata)


def _colours(array: np.ndarray, tags: Tags, channels: int) -> np.ndarray:
    """RGB where grey or RGB is asked for.

    Raises:
        Undecodable: The colours are of another kind.
    """
    white = 2**tags.bits - 1
    if channels not in (1, 3) or tags.photometric in _PLAIN or tags.is_jpeg:
        return array
    if tags.photometric == _CMYK and array.shape[2] == 4 and array.dtype.kind == 'u':
        share = 1 - array.astype(np.float64) / white
        return np.rint(share[..., :3] * share[..., 3:] * white).astype(array.dtype)
    raise Undecodable(
        f'a TIFF of {tags.bits} bits with colours of kind {tags.photometric}, which are not read: convert it'
    )


@contextmanager
def _open(file: BinaryIO) -> Iterator[tifffile.TiffFile]:
    """A file, of whose faults tifffile may say anything."""
    try:
        with tifffile.TiffFile(file, name='a TIFF') as tiff:
            yield tiff
    except (Undecodable, MemoryError):
        raise
    except Exception as error:
        raise Undecodable(broken('TIFF', error)) from None


def _lacks_codec(error: Exception) -> bool:
    """Whether it is the compression that tifffile does not have, alone or at all."""
    return 'imagecodecs' in str(error) or 'not supported' in str(error)


def _without_codec(data: bytes, tags: Tags, error: Exception) -> np.ndarray:
    hint = f'which {CODECS_MISSING}' if 'imagecodecs' in str(error) else 'of a kind that is not read'
    try:
        if tags.samples > 4 or tags.bits not in (8, 16, 32, 64):
            raise Undecodable('OpenCV has no such type')
        return by_opencv(data, 'TIFF')
    except Undecodable:
        raise Undecodable(f'a TIFF {hint} ({error})') from None


def _channels_last(array: np.ndarray, axes: str) -> np.ndarray:
    """(H, W, C) of a page: its samples lie together or one after the other."""
    if array.ndim != len(axes):
        raise Undecodable('a TIFF that is damaged (its header lacks what its pixels are)')
    if axes == 'YX':
        return array[..., None]
    if axes == 'SYX':
        return np.moveaxis(array, 0, 2)
    if axes == 'YXS':
        return array
    raise Undecodable(f'a TIFF whose first page has the axes {axes}, which is no image')


def read_window(file: BinaryIO, window: tuple[int, int, int, int], channels: int) -> Samples | None:
    """Some pixels of a large file, of which the others are not read.

    Args:
        file: The file.
        window: x, y, width and height in pixels, inside of it.
        channels: Those that are asked for.

    Returns:
        The samples; None where the file must be read whole: it is turned, or its colours must be converted.

    Raises:
        Undecodable: It is broken.
    """
    tags = Tags(file)
    has_colours = tags.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or (
        # Their tiles are decoded to RGB.
        tags.photometric == _YCBCR and tags.is_jpeg and not tags.has_planes
    )
    if tags.orientation != 1 or not has_colours or tags.bits % 8:
        return None
    x, y, width, height = window
    if x + width > tags.stored[0] or y + height > tags.stored[1]:
        raise Undecodable(outside(window))
    file.seek(0)
    with _open(file) as tiff:
        page = tiff.pages[0]
        # Premultiplied colours are Pillow's to divide.
        has_numbers = page.dtype is not None and page.dtype.kind in 'buif'
        if page.axes not in ('YX', 'SYX', 'YXS') or 1 in page.extrasamples or not has_numbers:
            return None
        pages = [page]
        if _has_pages_of_channels(tiff, tags, channels):
            if len(tiff.pages) != channels:  # one after the other behind a single header
                return None
            pages = [page.aspage() for page in tiff.pages]
        try:
            parts = [_rows(page, window) if page.is_final else _segments(page, window) for page in pages]
        except (ValueError, RuntimeError) as error:
            if not _lacks_codec(error):
                raise
            return None
    # Whether there are other images is for those to say who read it whole: a tile is one.
    return _samples(np.concatenate(parts, axis=2), tags, 1)


def _rows(page: tifffile.TiffPage, window: tuple[int, int, int, int]) -> np.ndarray:
    """Of pixels that lie in the file as they are: a part of each row."""
    x, y, width, height = window
    dtype = page.dtype.newbyteorder(page.parent.byteorder)
    planes, each = (page.samplesperpixel, 1) if page.axes == 'SYX' else (1, page.samplesperpixel)
    file = page.parent.filehandle
    array = np.empty((planes, height, width, each), dtype)
    for plane in range(planes):
        for row in range(height):
            number = (plane * page.imagelength + y + row) * page.imagewidth + x
            file.seek(page.dataoffsets[0] + number * each * dtype.itemsize)
            content = file.read(width * each * dtype.itemsize)
            array[plane, row] = np.frombuffer(content, dtype).reshape(width, each)
    return np.concatenate(list(array), axis=2).astype(dtype.newbyteorder('='))


def _segments(page: tifffile.TiffPage, window: tuple[int, int, int, int]) -> np.ndarray:
    """Of tiles or strips: those that the window meets."""
    x, y, width, height = window
    tall, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    tall = min(tall, page.imagelength) if not page.is_tiled else tall
    down, across = -(-page.imagelength // tall), -(-page.imagewidth // wide)
    planes = page.samplesperpixel if page.axes == 'SYX' else 1
    array = np.full((height, width, page.samplesperpixel), page.nodata, page.dtype.newbyteorder('='))
    # These may read the file, too.
    file, decode, tables = page.parent.filehandle, page.decode, {}
    if page.jpegtables is not None or page.jpegheader is not None:
        tables = {'jpegtables': page.jpegtables, 'jpegheader': page.jpegheader}
    for plane in range(planes):
        for row in range(y // tall, -(-(y + height) // tall)):
            for column in range(x // wide, -(-(x + width) // wide)):
                index = (plane * down + row) * across + column
                count = page.databytecounts[index]
                if not count:
                    continue  # nothing but the background
                file.seek(page.dataoffsets[index])
                segment = decode(file.read(count), index, **tables)[0][0]
                top, left = row * tall, column * wide
                y1, y2 = max(top, y), min(top + segment.shape[0], y + height)
                x1, x2 = max(left, x), min(left + segment.shape[1], x + width)
                part = slice(plane, plane + 1) if planes > 1 else slice(None)
                array[y1 - y : y2 - y, x1 - x : x2 - x, part] = segment[y1 - top : y2 - top, x1 - left : x2 - left]
    return array
