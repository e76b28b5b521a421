"""Finding images and decoding them.

The search and the training loader decode with the same function, so that boxes
and pixels share one frame (orientation from EXIF included).
"""

import os
from pathlib import Path

import cv2
import numpy as np

from mmsoco.errors import UserError

IMAGE_SUFFIXES = frozenset({'.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'})


class UnreadableImage(Exception):
    """An image that is missing or that OpenCV cannot decode.

    Args:
        path: Where it should be.
        reason: What is wrong with it.
    """

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(os.fspath(path), reason)
        self.path, self.reason = self.args

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}'


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8 RGB.

    Grey, CMYK, 16-bit and transparent images become 8-bit RGB; the EXIF
    orientation is applied; of an animation the first frame is taken.

    Raises:
        UnreadableImage: The file cannot be read or decoded; the message holds
            the path and the reason.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UnreadableImage(path, error.strerror) from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except cv2.error as error:
        raise UnreadableImage(path, error.err) from None
    if image is None:
        raise UnreadableImage(path, f'not an image that OpenCV can decode ({data.size} bytes)')
    return image


def list_images(root: str | os.PathLike) -> list[str]:
    """The images below a folder, as sorted POSIX paths relative to it.

    Raises:
        UserError: ``root`` is not a folder, holds no image, or one whose
            name is not UTF-8.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f'{root} is not a folder; give the folder that holds the images')
    names = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith('.')]
        relative = Path(folder).relative_to(root)
        names += [
            (relative / name).as_posix()
            for name in files
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith('.')
        ]
    if not names:
        raise UserError(f'{root} holds no images; files ending in {", ".join(sorted(IMAGE_SUFFIXES))} are looked for')
    names.sort()
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f'{root} has a file whose name is not UTF-8: {name!r}; rename it') from None
    return names
