"""What a file is that is no image, or not one that can be read: for messages."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

#: First bytes -> what such a file is.
_BEGINNINGS = (
    (b'version https://git-lfs', 'a Git LFS pointer, whose image was not fetched: run git lfs pull'),
    (b'/annex/objects', 'a git-annex pointer, whose image was not fetched: run git annex get'),
    (b'%PDF', 'a PDF'),
    (b'%!PS', 'PostScript'),
    (b'PK\x03\x04', 'a ZIP archive'),
    (b'Rar!', 'a RAR archive'),
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive'),
    (b'\x1f\x8b', 'gzip'),
    (b'BZh', 'bzip2'),
    (b'\xfd7zXZ', 'xz'),
    (b'(\xb5/\xfd', 'zstd'),
    (b'\x89HDF', 'HDF5'),
    (b'CDF\x01', 'NetCDF'),
    (b'GRIB', 'GRIB'),
    (b'SIMPLE  =', 'FITS'),
    (b'\x93NUMPY', 'a NumPy array'),
    (b'\x80\x02', 'a Python pickle'),
    (b'\x80\x04', 'a Python pickle'),
    (b'\xff\x0a', 'JPEG XL, which is not read: convert it'),
    (b'\0\0\0\x0cJXL ', 'JPEG XL, which is not read: convert it'),
    (b'II\xbc\x01', 'JPEG XR, which is not read: convert it'),
    (b'v/1\x01', 'OpenEXR, which is not read: convert it'),
    (b'#?RADIANCE', 'Radiance HDR, which is not read: convert it'),
    (b'#?RGBE', 'Radiance HDR, which is not read: convert it'),
    (b'P7\n', 'PAM, which is not read: convert it'),
    (b'IIRO', 'a raw file of a camera (ORF), which is not read: develop it'),
    (b'FUJIFILMCCD-RAW', 'a raw file of a camera (RAF), which is not read: develop it'),
    (b'\x1aE\xdf\xa3', 'a video (Matroska or WebM)'),
    (b'\0\0\x01\xba', 'a video (MPEG)'),
    (b'FLV\x01', 'a video (FLV)'),
    (b'OggS', 'Ogg'),
    (b'ID3', 'music (MP3)'),
    (b'SQLite format 3', 'an SQLite data base'),
    (b'\x7fELF', 'a program'),
    (b'MZ', 'a program'),
)
#: Brands of ISO media files, ``ftyp`` and four letters.
_HEIF = (b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1')


def is_heif(data: bytes) -> bool:
    """Whether a file is HEIC or another HEIF, by its first 16 bytes or more; AVIF is not meant."""
    return data[4:8] == b'ftyp' and data[8:12] in _HEIF


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk of a PNG, up to where it is cut off; their content is not read."""
    at = 8
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not head[4:].isalpha():
            return
        (length,) = struct.unpack('>I', head[:4])
        yield head[4:], at, at + 12 + length
        at += 12 + length


def what_is(data: bytes) -> str:
    """Why no decoder knows a file: what it is instead, by its first kilobyte."""
    kind = _kind(data)
    if kind is None:
        return 'not an image of a kind that is known'
    return kind if 'not read' in kind else f'not an image but {kind}'


def _kind(data: bytes) -> str | None:
    if not data:
        return 'an empty file'
    beginning = data[:1024]
    if not any(beginning):
        return 'a file of zeros, as a copy that was broken off leaves'
    for start, name in _BEGINNINGS:
        if beginning.startswith(start):
            return name
    if beginning[4:8] == b'ftyp':
        return 'a video (MP4 or QuickTime)'
    if beginning[:4] == b'RIFF':
        return f'RIFF ({"AVI video" if beginning[8:12] == b"AVI " else beginning[8:12].decode("latin1").strip()})'
    if beginning[128:132] == b'DICM':
        return 'DICOM, which is not read: convert it to TIFF or .npy'
    text = beginning.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if text.startswith((b'<!doctype html', b'<html', b'<head', b'<body')):
        return 'HTML, as a download that failed leaves'
    if b'<svg' in text:
        return 'SVG, which is not read: convert it'
    if text.startswith(b'<'):
        return 'XML'
    if text.startswith((b'{', b'[')):
        return 'JSON'
    try:
        words = beginning.decode()
    except UnicodeDecodeError:
        return None
    return 'text' if all(letter.isprintable() or letter in '\t\r\n' for letter in words) else None
