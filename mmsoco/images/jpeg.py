"""Headers of JPEGs that hold an image and nothing else, as most data sets': read in a part of Pillow's time."""

import struct
from typing import NamedTuple

#: Markers (ITU T.81, table B.1): frames of 8 bits by Huffman's codes, baseline and progressive, and what is skipped:
#: JFIF's own, comments, tables and restarts. Others may turn the image, or say what its samples are.
_FRAMES = (0xC0, 0xC1, 0xC2)
_SKIPPED = (0xE0, 0xFE, 0xC4, 0xDB, 0xDD)
_SCAN = 0xDA
_MODES = {1: 'L', 3: 'RGB'}


class Header(NamedTuple):
    """What Pillow would say: (width, height), and the mode, ``L`` or ``RGB``."""

    size: tuple[int, int]
    mode: str


def plain_header(data: bytes) -> Header | None:
    """The header of a JPEG without EXIF, XMP, colour profiles and the like; None of all others, broken ones among them.

    Args:
        data: The whole file, or its beginning.
    """
    if not data.startswith(b'\xff\xd8'):
        return None
    at, found = 2, None
    while at + 10 <= len(data):
        begin, marker, length, bits, height, width, components = struct.unpack_from('>BBHBHHB', data, at)
        if begin != 0xFF or length < 2:
            return None
        if marker == _SCAN:
            return found
        if marker in _FRAMES:
            if found or bits != 8 or not width or not height or components not in _MODES:
                return None
            found = Header((width, height), _MODES[components])
        elif marker not in _SKIPPED:
            return None
        at += 2 + length
    return None
