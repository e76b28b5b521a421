"""Image files made from scratch, byte by byte where no library writes such ones."""

import struct
import zlib

import cv2
import numpy as np
from PIL import Image

XMP_TURNED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def smooth(height=60, width=80):
    """(height, width, 3) uint8, which lossy kinds change little; no symmetry."""
    coarse = np.random.default_rng(0).uniform(30, 225, (3, 4, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_chunk(name, content):
    return struct.pack('>I', len(content)) + name + content + struct.pack('>I', zlib.crc32(name + content))


def png(array, bits, color, before=(), behind=()):
    """A PNG of rows without filter, with chunks before and behind its pixels."""
    rows = b''.join(b'\0' + row.tobytes() for row in array)
    head = struct.pack('>IIBBBBB', array.shape[1], array.shape[0], bits, color, 0, 0, 0)
    chunks = [(b'IHDR', head), *before, (b'IDAT', zlib.compress(rows)), *behind, (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(png_chunk(*chunk) for chunk in chunks)


def broken_apng(side=8):
    """Two frames, of which the first has a filter of type 9, which there is not: OpenCV 4.12 dies of it."""
    control = struct.pack('>IIIIHHBB', side, side, 0, 0, 1, 10, 0, 0)
    rows = zlib.compress(b''.join(b'\x09' + bytes(range(3 * side)) for _ in range(side)))
    chunks = [
        (b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)),
        (b'acTL', struct.pack('>II', 2, 0)),
        (b'fcTL', struct.pack('>I', 0) + control),
        (b'IDAT', rows),
        (b'fcTL', struct.pack('>I', 1) + control),
        (b'fdAT', struct.pack('>I', 2) + rows),
        (b'IEND', b''),
    ]
    return b'\x89PNG\r\n\x1a\n' + b''.join(png_chunk(*chunk) for chunk in chunks)


def packed_tiff(grey, bits, tags=()):
    """A TIFF of (H, W) samples of so many bits, which share bytes."""
    height, width = grey.shape
    planes = np.unpackbits(grey.astype('>u2').view(np.uint8).reshape(height, width, 2), axis=2)[..., 16 - bits :]
    content = np.packbits(planes.reshape(height, -1), axis=1).tobytes()
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1)]
    start = 8 + 2 + 12 * (len(entries) + 3 + len(tags)) + 4
    entries = sorted([*entries, (273, 4, start), (277, 3, 1), (279, 4, len(content)), *tags])
    words = b''.join(struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in entries)
    return b'II*\0' + struct.pack('<IH', 8, len(entries)) + words + bytes(4) + content
