"""Decoding images.

The search and the training loader decode with the same function, so that boxes
and pixels share one frame (orientation from EXIF included).
"""

import os
from io import BytesIO

import cv2
import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from mmsoco.errors import UserError
from mmsoco.files import open_regular

# Registers all formats; what is refused is refused by their headers.
Image.init()

#: Kinds of files that OpenCV decodes and whose headers Pillow reads.
FORMATS = ('JPEG', 'PNG', 'BMP', 'DIB', 'GIF', 'PPM', 'WEBP', 'JPEG2000', 'AVIF', 'SUN')
_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
#: OpenCV's own variable, by which a user moves our bound, too.
VARIABLE = 'OPENCV_IO_MAX_IMAGE_PIXELS'


class UnreadableImage(Exception):
    """An image that is missing or that OpenCV cannot decode.

    Args:
        path: Where it should be.
        reason: What is wrong with it, made one line.
    """

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(os.fspath(path), ' '.join(reason.split()))
        self.path, self.reason = self.args

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}'


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


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8 RGB.

    Grey, CMYK, 16-bit and transparent images become 8-bit RGB; the EXIF
    orientation is applied; of an animation the first frame is taken.

    Raises:
        UnreadableImage: The file cannot be read or decoded, is no regular
            file, or has more pixels than :func:`max_pixels`, which its header
            tells before memory is taken; the message holds the path and the reason.
    """
    most = max_pixels()
    data = _read(path, most)
    unknown = f'not an image that OpenCV can decode ({len(data)} bytes)'
    size = _size(data)
    if size is None:
        raise UnreadableImage(path, unknown)
    width, height = size
    if width * height > most:
        raise UnreadableImage(
            path, f'{width}x{height} are more than the {most} pixels allowed; the variable {VARIABLE} says how many are'
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise UnreadableImage(path, error.err) from None
    if image is None:
        raise UnreadableImage(path, unknown)
    return image


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) of an image as a viewer shows it, by its header alone: orientation from EXIF applied.

    Raises:
        UnreadableImage: There is no header that is known.
    """
    try:
        with open_regular(path) as file, Image.open(file) as image:
            size = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except Exception as error:
        raise UnreadableImage(path, getattr(error, 'strerror', None) or str(error) or type(error).__name__) from None
    return size[::-1] if turned else size


def _read(path: str | os.PathLike, most: int) -> bytes:
    """The whole file, which is not larger than ``most`` pixels can be."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            # Four channels of 16 bits each, and a header.
            if size > 8 * most + 2**20:
                raise UnreadableImage(path, f'{size} bytes are more than an image of {most} pixels has')
            data = file.read()
    except (OSError, ValueError) as error:
        raise UnreadableImage(path, getattr(error, 'strerror', None) or str(error) or type(error).__name__) from None
    if len(data) < size:
        raise UnreadableImage(path, f'could be read only up to byte {len(data)} of {size}')
    return data


def _size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of the pixels that are stored, by the header; None where there is none that is known."""
    prefix, file = data[:16], BytesIO(data)
    try:
        if prefix.startswith(_TIFF):
            return _tiff_size(data)
        # Not Image.open: its own bound is lower than what telephones make, and does not tell the size.
        for name in FORMATS:
            factory, accepts = Image.OPEN.get(name, (None, None))
            if factory is not None and accepts(prefix) is True:
                return factory(file, '').size
    # Of a broken header, Pillow may say anything.
    except Exception:
        pass
    return None


def _tiff_size(data: bytes) -> tuple[int, int]:
    """Of a TIFF or its tiles, as Pillow opens only some of the kinds of pixels that OpenCV decodes."""
    header = data[: 16 if 43 in data[2:4] else 8]
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file = BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    width, height, tile_width, tile_height = (int(tags.get(tag, 0)) for tag in (256, 257, 322, 323))
    return max(width, tile_width), max(height, tile_height)
