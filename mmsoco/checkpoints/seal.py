"""A digest inside a file of weights, of every other byte of it."""

import hashlib
import json
import os
import re
import zipfile
from pathlib import Path
from typing import IO

_DIGITS = 64
_SEAL = b'mmsoco-sha256:'
# A zip archive ends in this record, and that in the length of a comment, which torch leaves empty, and the comment.
_END = b'PK\x05\x06'
_END_SIZE = 22
#: What a ``.safetensors`` file that is to be sealed is saved with, among its metadata.
PLACE = {'mmsoco-sha256': '0' * _DIGITS}


class Damaged(Exception):
    """A file is not as it was written; the message says in what."""


def seal(data: bytes) -> bytes:
    """What torch saved, with a digest as the archive's comment; other data unchanged."""
    if data[:2] != b'PK' or data[-_END_SIZE:][:4] != _END or data[-2:] != bytes(2):
        return data
    sealed = data[:-2] + (len(_SEAL) + _DIGITS).to_bytes(2, 'little') + _SEAL
    return sealed + hashlib.sha256(sealed).hexdigest().encode()


def has_seal(file: IO[bytes], size: int) -> bool:
    """Whether there is a digest in an archive of so many bytes.

    Raises:
        Damaged: It is another's, or something else is at the archive's end.
    """
    comment = len(_SEAL) + _DIGITS
    file.seek(max(0, size - _END_SIZE - comment))
    tail = file.read()
    if tail[-_END_SIZE:][:4] == _END and tail[-2:] == bytes(2):
        return False
    if tail[:4] != _END or tail[20:22] != comment.to_bytes(2, 'little') or tail[_END_SIZE:-_DIGITS] != _SEAL:
        file.seek(0)
        raise Damaged('damaged at its end' if zipfile.is_zipfile(file) else 'cut short')
    if _sha256(file, size - _DIGITS).encode() != tail[-_DIGITS:]:
        raise Damaged('damaged (its SHA-256 is another)')
    return True


def seal_safetensors(path: str | os.PathLike) -> None:
    """Fill :data:`PLACE` with a digest, and put the metadata, which come in any order, into that of their names."""
    data = Path(path).read_bytes()
    begin = 8 + int.from_bytes(data[:8], 'little')
    header = json.loads(data[8:begin])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)
    header, tensors = len(text).to_bytes(8, 'little') + text, memoryview(data)[begin:]
    digest = hashlib.sha256(header)
    digest.update(tensors)
    place = _place(header)
    with open(path, 'wb') as file:
        file.writelines((header[:place], digest.hexdigest().encode(), header[place + _DIGITS :], tensors))


def check_safetensors_seal(file: IO[bytes], header: bytes, size: int) -> None:
    """Compare the digest, if there is one.

    Args:
        file: Of so many bytes.
        header: Its beginning, the length included.

    Raises:
        Damaged: It is another's.
    """
    place = _place(header)
    if place is None:
        return
    if _sha256(file, size, blank=place).encode() != header[place : place + _DIGITS]:
        raise Damaged('damaged (its SHA-256 is another)')


def _place(header: bytes) -> int | None:
    """Where in a ``.safetensors`` file the digest begins."""
    # By the key or by what stands there: whichever bit has changed, one of them is left.
    found = re.search(b'"%s":"' % next(iter(PLACE)).encode(), header) or re.search(rb'":"(?=[0-9a-f]{64}")', header)
    return found.end() if found else None


def _sha256(file: IO[bytes], size: int, blank: int | None = None) -> str:
    """Of the first ``size`` bytes, with zeros in the place of a digest."""
    digest, done = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(min(2**20, size - done)):
        if blank is not None:
            begin, end = (min(max(at - done, 0), len(chunk)) for at in (blank, blank + _DIGITS))
            chunk = chunk[:begin] + b'0' * (end - begin) + chunk[end:]
        digest.update(chunk)
        done += len(chunk)
    return digest.hexdigest()
