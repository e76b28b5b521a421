"""EXIF's eight orientations (EXIF 2.32, tag 274), for arrays."""

from collections.abc import Callable

import numpy as np
from PIL import Image

TAG = 0x0112
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, ...) as a viewer shows it; a number that is no orientation changes nothing."""
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else np.ascontiguousarray(turn(image))


def is_turned(orientation: int) -> bool:
    """Whether width and height change places."""
    return orientation in (5, 6, 7, 8)


def orientation_of(image: Image.Image) -> int:
    """What EXIF or XMP of an opened file say, 1 where they say nothing, or nothing that can be read."""
    try:
        return image.getexif().get(TAG, 1)
    # Of broken EXIF, Pillow may say anything.
    except Exception:
        return 1
