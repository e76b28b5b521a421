"""Promise 2: huge pictures are refused by their headers, before memory is taken."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsoco.errors import UserError
from mmsoco.images.decoding import VARIABLE, UnreadableImage, read_image

PEAK = """
import resource, sys
from mmsoco.images.decoding import UnreadableImage, read_image

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_image(sys.argv[1])
except UnreadableImage as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def write_png(path, side):
    """A black PNG of side x side, whose file is small."""

    def chunk(kind, content):
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = [packer.compress(bytes(side // 8 + 1)) for _ in range(side)]
    head = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    parts = [(b'IHDR', head), (b'IDAT', b''.join(rows) + packer.flush()), (b'IEND', b'')]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*part) for part in parts))


def test_a_bomb_takes_no_memory(tmp_path):
    bomb = tmp_path / 'bomb.png'
    write_png(bomb, 30_000)
    assert bomb.stat().st_size < 1e6
    run = subprocess.run([sys.executable, '-c', PEAK, bomb], capture_output=True, text=True, check=True)
    words, peak = run.stdout.splitlines()
    assert '30000x30000 are more than the 268435456 pixels allowed' in words and VARIABLE in words
    assert int(peak) < 30


@pytest.mark.parametrize('kind', ['BMP', 'GIF', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP'])
def test_the_bound_of_every_kind(tmp_path, monkeypatch, kind):
    path = tmp_path / 'a.img'
    Image.new('RGB', (120, 100)).save(path, kind)
    monkeypatch.setenv(VARIABLE, '12000')
    assert read_image(path).shape == (100, 120, 3)
    monkeypatch.setenv(VARIABLE, '11999')
    with pytest.raises(UnreadableImage, match='120x100 are more than the 11999 pixels allowed'):
        read_image(path)


def test_pillows_own_bound_does_not_count(tmp_path, monkeypatch, recwarn):
    """What telephones make is more than it allows."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    Image.new('RGB', (120, 100)).save(tmp_path / 'a.png')
    assert read_image(tmp_path / 'a.png').shape == (100, 120, 3)
    assert not [warning for warning in recwarn.list if 'pixels' in str(warning.message)]


def test_kinds_of_pixels_that_pillow_does_not_open(tmp_path):
    import cv2

    path = str(tmp_path / 'a.tif')
    assert cv2.imwrite(path, np.full((20, 30, 3), 7, np.float32))
    assert read_image(path).shape == (20, 30, 3)


def test_a_tile_larger_than_its_image(tmp_path, monkeypatch):
    """It is a tile that is decoded."""
    entries = [(256, 4, 1, 16), (257, 4, 1, 16), (322, 4, 1, 32_000), (323, 4, 1, 32_000)]
    head = b'II*\0' + struct.pack('<IH', 8, len(entries))
    (tmp_path / 'a.tif').write_bytes(head + b''.join(struct.pack('<HHII', *entry) for entry in entries) + bytes(4))
    with pytest.raises(UnreadableImage, match='32000x32000 are more than'):
        read_image(tmp_path / 'a.tif')


def test_what_has_no_header_that_is_known_is_not_decoded(tmp_path):
    """OpenCV would take the memory for what it says."""
    (tmp_path / 'a.jpg').write_bytes(b'P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n')
    with pytest.raises(UnreadableImage, match='PAM, which is not read'):
        read_image(tmp_path / 'a.jpg')


def test_a_file_larger_than_any_image(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, '1000')
    with Path(tmp_path, 'a.bmp').open('wb') as file:
        file.truncate(2**21)
    with pytest.raises(UnreadableImage, match='2097152 bytes are more than an image of 1000 pixels has'):
        read_image(tmp_path / 'a.bmp')


def test_a_bound_that_is_no_number(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, 'many')
    with pytest.raises(UserError, match=f"{VARIABLE} is 'many'; give the most pixels"):
        read_image(tmp_path / 'a.png')
