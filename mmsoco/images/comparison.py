"""Our reading of a file beside Pillow's, which is the yardstick: same size and pixels."""

import os
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps

from mmsoco.errors import reason
from mmsoco.images.decoding import UnreadableImage, image_size, load_image
from mmsoco.images.orientation import TAG

#: Levels by which pixels may differ: decoders round differently.
TOLERANCE = 3
#: What may come out, in the order of the table's columns.
VERDICTS = ('equal', 'deep', 'ours alone', 'neither', 'other size', 'other pixels', 'other header', 'Pillow alone')
#: Those that are faults.
FAULTS = VERDICTS[4:]


class Comparison(NamedTuple):
    """A file's two readings.

    Attributes:
        kind: Its format and mode, as Pillow says, and what else is special.
        verdict: One of :data:`VERDICTS`: ``deep`` are files of more than 8 bits, which Pillow does not scale, and of
            which sizes alone are compared; ``other header`` are those whose size is another by
            :func:`~mmsoco.images.decoding.image_size`.
        words: More about it.
    """

    kind: str
    verdict: str
    words: str = ''


def compare(path: str | os.PathLike) -> Comparison:
    """Read a file in both ways."""
    try:
        ours, error = load_image(path), None
    except UnreadableImage as unreadable:
        ours, error = None, unreadable.reason
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        kind, theirs, their_error = _pillow(path)
    if ours is None:
        return Comparison(kind, 'neither' if theirs is None else 'Pillow alone', error)
    if ours.met is not None:
        kind += f', {ours.met.kind}'
    if theirs is None:
        return Comparison(kind, 'ours alone', their_error)
    height, width = ours.pixels.shape[:2]
    if theirs.shape != ours.pixels.shape:
        return Comparison(kind, 'other size', f'{width}x{height} instead of {theirs.shape[1]}x{theirs.shape[0]}')
    if image_size(path) != (width, height):
        return Comparison(kind, 'other header', f'{width}x{height}, but {image_size(path)} by its header')
    if ours.met is not None:
        return Comparison(kind, 'deep', f'{ours.met.low:g} to {ours.met.high:g} by {ours.met.by}')
    difference = np.abs(ours.pixels.astype(np.int16) - theirs).max()
    return Comparison(kind, 'equal' if difference <= TOLERANCE else 'other pixels', f'by {difference} levels')


def _pillow(path: str | os.PathLike) -> tuple[str, np.ndarray | None, str]:
    """Kind, (H, W, 3) uint8 as Pillow reads it, or None and why."""
    ending = os.path.splitext(path)[1].lower() or 'without an ending'  # noqa: PTH122, takes names of any length
    kind = f'not for Pillow ({ending})'
    try:
        with Image.open(path) as image:
            kind = f'{image.format} {image.mode}'
            if getattr(image, 'n_frames', 1) > 1:
                kind += ', frames'
            orientation = image.getexif().get(TAG, 1)
            if orientation in range(2, 9):
                kind += ', turned'
            image = ImageOps.exif_transpose(image)
            if image.mode == 'LAB':  # of which Pillow converts nothing by itself
                profiles = ImageCms.createProfile('LAB'), ImageCms.createProfile('sRGB')
                image = ImageCms.profileToProfile(image, *profiles, outputMode='RGB')
            return kind, np.asarray(image.convert('RGB')), ''
    # Of a broken file, Pillow may say anything.
    except Exception as error:
        return kind, None, reason(error)
