"""Decoding images.

The search and the training loader decode with the same function, so that boxes
and pixels share one frame (orientation from EXIF included).
"""

import os

import cv2
import numpy as np


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
