"""Reading images: the one way in, for the search, training, converters, probes and drawings.

All see the same pixels in the same frame, so that boxes fit.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, NamedTuple

import numpy as np

from mmsoco.errors import UserError, reason
from mmsoco.images import arrays, decoders, tiff
from mmsoco.images.archives import open_image, size_of
from mmsoco.images.channels import OtherChannels, as_channels
from mmsoco.images.decoders import Samples, Undecodable
from mmsoco.images.reading import Reading
from mmsoco.images.tiles import Window
from mmsoco.images.values import Met, to_8_bits

#: OpenCV's own variable, by which a user moves our bound, too.
VARIABLE = 'OPENCV_IO_MAX_IMAGE_PIXELS'
#: Bytes of an image that is kept for the next window of it.
_KEPT = 2**28


class UnreadableImage(Exception):
    """An image that is missing or that cannot be decoded.

    Args:
        path: Where it should be.
        reason: What is wrong with it, made one line.
    """

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(os.fspath(path), ' '.join(reason.split()))
        self.path, self.reason = self.args

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}'


class Image(NamedTuple):
    """An image and what its reader should know.

    Attributes:
        pixels: (H, W, channels) uint8, upright.
        met: The values of samples of more than 8 bits.
        frames: How many images the file has; this is the first.
        full_size: (width, height) of the file's image, where ``pixels`` are a smaller one of it.
    """

    pixels: np.ndarray
    met: Met | None
    frames: int
    full_size: tuple[int, int] | None = None


def max_pixels() -> int:
    """How many pixels an image may have: 2**28, or what the environment says.

    OpenCV's own bound would take 3 GB for a picture; the cameras of telephones make 200 megapixels.

    Raises:
        UserError: The environment says no number.
    """
    value = os.environ.get(VARIABLE) or str(2**28)
    if not value.isdecimal():
        raise UserError(f'{VARIABLE} is {value!r}; give the most pixels that an image may have as a whole number')
    return int(value)


def read_image(path: str | os.PathLike, reading: Reading = Reading(), window: Window | None = None) -> np.ndarray:
    """Decode an image to (H, W, ``reading.channels``) uint8; by default RGB.

    Orientation, of EXIF or XMP, is applied; samples of more than 8 bits are scaled; of several frames or pages the
    first is taken.

    Args:
        path: The file.
        reading: What of its samples becomes the image.
        window: x, y, width and height of the part that is wanted. Of a TIFF or a NumPy array the others are
            not read, where that can be; of other kinds the decoded image is kept for the next window of it.

    Raises:
        UnreadableImage: The file cannot be read or decoded, has other channels, is no regular file, or has more
            pixels than :func:`max_pixels`, which its header tells before memory is taken; the message holds the
            path and the reason.
    """
    return load_image(path, reading, window).pixels


def load_image(
    path: str | os.PathLike,
    reading: Reading = Reading(),
    window: Window | None = None,
    least_side: int | None = None,
) -> Image:
    """As :func:`read_image`, with what a search tells of the image.

    Args:
        least_side: Pixels that both sides keep, at least, where decoding may make the image smaller: of 8-bit JPEGs
            that are read whole, to a half, a quarter or an eighth. None: it may not.
    """
    try:
        if window is None:
            # Ranges of values are those of the whole image.
            least_side = least_side if reading.value_range in ('file', 'type') else None
            samples = _whole(path, reading.channels, least_side)
        else:
            samples = _part(path, reading.channels, window)
        pixels, met = to_8_bits(samples.array, reading.value_range, samples.declared, samples.nodata)
        pixels = 255 - pixels if samples.is_negative else pixels
        pixels = as_channels(pixels, reading.channels)
    except (Undecodable, OtherChannels) as error:
        raise UnreadableImage(path, str(error)) from None
    return Image(np.ascontiguousarray(pixels), met, samples.frames, samples.full_size)


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) of the image that :func:`read_image` makes of a file, by its header alone.

    Raises:
        UnreadableImage: The file cannot be read, or is no image; broken pixels are not noticed.
    """
    with _opened(path) as file:
        prefix = file.read(16)
        try:
            if tiff.is_tiff(prefix):
                return tiff.Tags(file).size
            if arrays.is_array(prefix):
                return arrays.size_of(file)
            return decoders.size_of(file)
        except Undecodable as error:
            raise UnreadableImage(path, str(error)) from None


def _whole(path: str | os.PathLike, channels: int, least_side: int | None = None) -> Samples:
    """All samples of a file."""
    most = max_pixels()
    with _opened(path) as file:
        data = _read_all(file, most)
    file = BytesIO(data)
    if tiff.is_tiff(data):
        tags = tiff.Tags(file)
        _check_size(*tags.decoded, tags.nbytes, most)
        return tiff.decode(data, channels)
    if arrays.is_array(data):
        _check_size(*arrays.size_of(file), arrays.nbytes_of(file), most)
        return arrays.decode(data)
    image = decoders.identify(file)
    _check_size(*image.size, 0, most)
    return decoders.decode(data, image, channels, least_side)


def _part(path: str | os.PathLike, channels: int, window: Window) -> Samples:
    """The samples of a window."""
    x, y, width, height = window
    _check_size(width, height, 0, max_pixels())
    with _opened(path) as file:
        prefix = file.read(16)
        samples = None
        if tiff.is_tiff(prefix):
            samples = tiff.read_window(file, window, channels)
        elif arrays.is_array(prefix):
            samples = arrays.read_window(file, window)
    if samples is None:
        key = os.fspath(path), channels
        samples = _kept.get(key) or _kept.put(key, _whole(path, channels))
        samples = samples._replace(array=samples.array[y : y + height, x : x + width])
    if samples.array.shape[:2] != (height, width):
        raise Undecodable(decoders.outside(window))
    return samples


class _Kept:
    """The images of which windows were taken last, up to some bytes, but one at least; a process has its own."""

    def __init__(self, most: int):
        self._most = most
        self._samples: OrderedDict[tuple, Samples] = OrderedDict()

    def get(self, key: tuple) -> Samples | None:
        if key in self._samples:
            self._samples.move_to_end(key)
        return self._samples.get(key)

    def put(self, key: tuple, samples: Samples) -> Samples:
        self._samples[key] = samples
        while len(self._samples) > 1 and sum(kept.array.nbytes for kept in self._samples.values()) > self._most:
            self._samples.popitem(last=False)
        return samples


_kept = _Kept(_KEPT)


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file to read; what the system says of it is an :class:`UnreadableImage`."""
    try:
        with open_image(path) as file:
            yield file
    except (OSError, ValueError) as error:
        raise UnreadableImage(path, reason(error, bare=True)) from None


def _read_all(file: BinaryIO, most: int) -> bytes:
    """The whole file, which is not larger than an image of ``most`` pixels can be."""
    size = size_of(file)
    # Four channels of 16 bits each, and a header.
    if size > 8 * most + 2**20:
        raise Undecodable(f'{size} bytes are more than an image of {most} pixels has')
    data = file.read()
    if len(data) < size:
        raise Undecodable(f'could be read only up to byte {len(data)} of {size}')
    return data


def _check_size(width: int, height: int, nbytes: int, most: int) -> None:
    if width * height > most:
        raise Undecodable(
            f'{width}x{height} are more than the {most} pixels allowed; the variable {VARIABLE} says how many are'
        )
    if nbytes > 8 * most:
        raise Undecodable(
            f'{nbytes} bytes of samples are more than {most} pixels of 8 bytes; the variable {VARIABLE} says how many '
            'pixels are allowed'
        )
