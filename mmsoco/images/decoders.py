"""From a file's bytes to its samples: which library decodes which kind, and why.

Pillow decodes, and what it makes of a file is right. Three kinds are left to others: JPEG to OpenCV, which has the
same pixels in two thirds of the time; PNG and PNM of 16 bits to OpenCV, too, as Pillow cuts colours to 8; TIFF of many
channels or of types that Pillow has not to tifffile (:mod:`mmsoco.images.tiff`). OpenCV is given nothing else: broken
animations, for one, kill it.
"""

import ctypes
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageCms

from mmsoco.errors import reason as say_why
from mmsoco.images.channels import as_channels
from mmsoco.images.kinds import is_heif, png_chunks, what_is
from mmsoco.images.orientation import TAG, is_turned, orientation_of, upright

# Registers all formats.
Image.init()
# What it thinks of a file is for the message, not for the screen.
warnings.filterwarnings('ignore', module=r'PIL\.')

#: The formats of Pillow that are read. EPS and WMF run other programs, others are no images of anything.
FORMATS = (
    *('JPEG', 'PNG', 'BMP', 'DIB', 'GIF', 'PPM', 'WEBP', 'JPEG2000', 'AVIF', 'HEIF', 'SGI', 'PCX', 'ICO', 'PSD', 'DDS'),
    *('QOI', 'SUN', 'TGA'),
)
#: Chunks that make a PNG an animation.
_ANIMATION = (b'acTL', b'fcTL', b'fdAT')
#: What decoders say of a file that is not all there.
_ENDS_EARLY = ('truncated', 'unexpected end', 'premature', 'not enough', 'broken data', 'failed to read', 'reshaped')
#: By how much sides are divided -> OpenCV's flag, beside that of colours: grey's has no bit for others.
_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
HEIF_MISSING = "HEIC, which needs another package: pip install 'mmsoco[images]'"


class Undecodable(Exception):
    """What is wrong with a file, in words that follow its name."""


class Samples(NamedTuple):
    """What a file holds.

    Attributes:
        array: (H, W, C) of the file's own type, upright.
        declared: The values that stand for the darkest and the brightest, where the file says so and its type does
            not.
        frames: How many images the file has; this is the first.
        is_negative: Whether the darkest value stands for white.
        nodata: The value of what is no part of the image.
        full_size: (width, height) of the file's image, upright, where ``array`` is a smaller one of it.
    """

    array: np.ndarray
    declared: tuple[float, float] | None = None
    frames: int = 1
    is_negative: bool = False
    nodata: float | None = None
    full_size: tuple[int, int] | None = None


def identify(file: BinaryIO) -> Image.Image:
    """A file as Pillow opens it: its header is read, its pixels are not.

    Raises:
        Undecodable: It is no image, or its header is broken.
    """
    prefix, reason = _start(file, 16), ''
    if is_heif(prefix):
        _register_heif()
    # Not Image.open: its bound of pixels is lower than what telephones make, and does not tell the size.
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        # TGA has no beginning of its own; its header is checked instead.
        if factory is None or (accepts is not None and accepts(prefix.ljust(16, b'\0')) is not True):
            continue
        file.seek(0)
        try:
            return factory(file, '')
        # Of a broken header, Pillow may say anything.
        except Exception as error:
            if accepts is not None:
                reason = f'{_a(name)} with a broken header ({say_why(error, bare=True)})'
    raise Undecodable(reason or what_is(_start(file, 1024)))


def _start(file: BinaryIO, count: int) -> bytes:
    file.seek(0)
    return file.read(count)


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise Undecodable(HEIF_MISSING) from None
    pillow_heif.register_heif_opener()


def size_of(file: BinaryIO) -> tuple[int, int]:
    """(width, height) of an image of another kind than TIFF, upright, by its header.

    Raises:
        Undecodable: It is no image, or its header is broken.
    """
    image = identify(file)
    width, height = image.size
    if image.format == 'PNG' and 'exif' not in image.info and not _has_words_behind_pixels(file):
        # The plugin's own question would decode the pixels, to see what stands behind them.
        turned = is_turned(Image.Image.getexif(image).get(TAG, 1))
    else:
        turned = is_turned(orientation_of(image))
    return (height, width) if turned else (width, height)


def _has_words_behind_pixels(file: BinaryIO) -> bool:
    names = [name for name, _, _ in png_chunks(file)]
    last = max((i for i, name in enumerate(names) if name == b'IDAT'), default=len(names))
    return any(name in (b'eXIf', b'iTXt', b'tEXt', b'zTXt') for name in names[last:])


def decode(data: bytes, image: Image.Image, channels: int, least_side: int | None = None) -> Samples:
    """The samples of an image of another kind than TIFF.

    Args:
        data: The whole file.
        image: The same, as :func:`identify` opens it.
        channels: Those that are asked for; where a file has others that mean the same, it is converted.
        least_side: See :func:`~mmsoco.images.decoding.load_image`.

    Raises:
        Undecodable: With what the file is, and the decoder's own reason.
    """
    if image.format in ('JPEG', 'MPO') and image.mode in ('L', 'RGB') and channels in (1, 3):
        samples = _jpeg(data, image, channels, _reduction(image.size, least_side))
        if samples is not None:
            return samples
    highest = _highest(data, image)
    if highest > 255:
        return _deep(data, image, highest)
    return by_pillow(image, channels)


def _reduction(size: tuple[int, int], least_side: int | None) -> int:
    """1, 2, 4 or 8: by how much the sides may be divided and still be ``least_side`` long."""
    return next((by for by in (8, 4, 2) if least_side is not None and min(size) // by >= least_side), 1)


def _jpeg(data: bytes, image: Image.Image, channels: int, reduction: int) -> Samples | None:
    """By OpenCV, None where it cannot; libjpeg makes smaller images of fewer coefficients, in less time."""
    colours = cv2.IMREAD_COLOR_RGB if image.mode == 'RGB' else cv2.IMREAD_GRAYSCALE
    flags = colours | _REDUCED[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    with _silence():
        try:
            array = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            return None
    if array is None:
        return None
    full_size = image.size
    if 'exif' in image.info or 'xmp' in image.info:
        orientation = orientation_of(image)
        array = upright(array, orientation)
        full_size = full_size[::-1] if is_turned(orientation) else full_size
    if array.ndim == 2:
        array = cv2.merge([array] * 3) if channels == 3 else array[..., None]
    return Samples(as_channels(array, channels), full_size=None if reduction == 1 else full_size)


def _highest(data: bytes, image: Image.Image) -> int:
    """The largest value that a sample can have, as the header declares it, for kinds that may have more than 8 bits."""
    if image.format == 'PNG':
        return 2 ** data[24] - 1
    if image.format == 'PPM' and image.mode != 'F':
        args = image.tile[0].args  # a raw mode alone, or with the maxval
        if isinstance(args, tuple) and isinstance(args[-1], int):
            return args[-1]
        return 65535 if 'I;16' in str(args) else 255
    if image.format == 'JPEG2000':
        # The two markers that a codestream begins with (ISO 15444-1, A.4.1 and A.5.1); 42 bytes on, the bits of the
        # first channel.
        start = data.find(b'\xff\x4f\xff\x51')
        return 2 ** ((data[start + 42] & 127) + 1) - 1 if 0 <= start < len(data) - 42 else 255
    return 255


def _deep(data: bytes, image: Image.Image, highest: int) -> Samples:
    """By OpenCV; its samples are as they are stored."""
    # Pillow's 8 bits are not used, but what it says of broken pixels, and what stands behind them.
    frames = by_pillow(image, 1).frames
    if image.format == 'PNG' and frames > 1:
        chunks = png_chunks(BytesIO(data))
        data = data[:8] + b''.join(data[start:end] for name, start, end in chunks if name not in _ANIMATION)
    array = by_opencv(data, image.format)
    # OpenCV repeats grey that has alpha.
    if image.format == 'PNG' and data[25] == 4 and array.shape[2] == 4:
        array = array[..., [0, 3]]
    # 16 bits are the type's own, and may hold less.
    return Samples(upright(array, orientation_of(image)), None if highest == 65535 else (0, highest), frames)


def by_opencv(data: bytes, kind: str) -> np.ndarray:
    """(H, W, C) of up to four channels as they are stored, colours as RGB.

    Raises:
        Undecodable: OpenCV cannot.
    """
    with _silence():
        try:
            array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as error:
            raise Undecodable(broken(kind, error.err)) from None
    if array is None:
        raise Undecodable(broken(kind, 'OpenCV cannot decode it'))
    if array.ndim == 2:
        return array[..., None]
    return np.ascontiguousarray(array[..., [2, 1, 0, 3][: array.shape[2]]])


def by_pillow(image: Image.Image, channels: int) -> Samples:
    """The samples of an image that Pillow has opened.

    Raises:
        Undecodable: Its pixels are broken.
    """
    kind = image.format
    try:
        with _silence():
            frames = 1 if kind == 'MPO' else _frames(image)
            image.load()
            array = _pixels(image, channels)
    except MemoryError:
        raise
    # Of broken pixels, Pillow may say anything.
    except Exception as error:
        raise Undecodable(broken(kind, error)) from None
    return Samples(upright(array, orientation_of(image)), frames=frames)


def _frames(image: Image.Image) -> int:
    try:
        return getattr(image, 'n_frames', 1)
    # Broken ones behind the first do not matter.
    except Exception:
        image.seek(0)
        return 1


def _pixels(image: Image.Image, channels: int) -> np.ndarray:
    """(H, W, C), of 8 bits or of the type that the file has."""
    mode = image.mode
    if mode in ('I', 'F') or mode.startswith('I;'):
        return np.asarray(image)[..., None]
    if mode == 'LAB':
        image, mode = _lab_to_rgb(image), 'RGB'
    if channels in (1, 3):
        image = image.convert('L' if channels == 1 else 'RGB')
    elif mode in ('P', 'PA', '1'):
        image = image.convert('RGBA' if mode == 'PA' or 'transparency' in image.info else 'RGB' if mode == 'P' else 'L')
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, rgb = ImageCms.createProfile('LAB'), ImageCms.createProfile('sRGB')
    return ImageCms.profileToProfile(image, lab, rgb, outputMode='RGB')


def outside(window: tuple[int, int, int, int]) -> str:
    """That an image has no such window: x, y, width and height."""
    x, y, width, height = window
    return f'has no window of {width}x{height} at {x}, {y}; it was changed since it was searched'


def broken(kind: str | None, error: Exception | str) -> str:
    """That an image of a kind is damaged, or ends early, with the decoder's reason."""
    reason = error if isinstance(error, str) else say_why(error, bare=True)
    ends = any(sign in reason.lower() for sign in _ENDS_EARLY)
    return f'{_a(kind)} that {"ends early" if ends else "is damaged"} ({reason})'


def _a(kind: str | None) -> str:
    return f'{"an" if str(kind).startswith(("A", "I")) else "a"} {kind}'


# C libraries print to this, and not Python or other processes.
_libc = ctypes.CDLL(None)
_libc.fopen.restype = ctypes.c_void_p
_stderr = ctypes.c_void_p.in_dll(_libc, 'stderr')
_screen, _nowhere = _stderr.value, _libc.fopen(os.devnull.encode(), b'w')


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what C libraries print about a file from the screen; Pillow's reason stands in the message."""
    _stderr.value = _nowhere
    try:
        yield
    finally:
        _stderr.value = _screen
