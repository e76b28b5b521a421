"""Headers of plain JPEGs: what Pillow says of them, and nothing of others."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.images.jpeg import plain_header


def jpeg(mode='RGB', size=(37, 21), **options):
    file = BytesIO()
    levels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(levels).convert(mode).save(file, 'JPEG', **options)
    return file.getvalue()


OPTIONS = [{}, dict(progressive=True), dict(comment=b'a' * 300), dict(restart_marker_blocks=1), dict(subsampling=0)]


@pytest.mark.parametrize('mode', ['L', 'RGB'])
@pytest.mark.parametrize('options', OPTIONS)
def test_a_plain_header_is_pillows(mode, options):
    data = jpeg(mode, **options)
    image = Image.open(BytesIO(data))
    assert plain_header(data) == (image.size, image.mode) == ((37, 21), mode)


def exif():
    words = Image.Exif()
    words[0x0112] = 6
    return words.tobytes()


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'\xff\xd8',
        b'\x89PNG\r\n\x1a\n' + bytes(20),
        jpeg()[:60],
        jpeg('CMYK'),
        jpeg(exif=exif()),
        jpeg(icc_profile=b'a profile'),
        jpeg(xmp=b'<words>'),
        jpeg().replace(b'\xff\xc0\x00\x11\x08', b'\xff\xc0\x00\x11\x0c'),  # 12 bits
        jpeg().replace(b'\xff\xc0\x00\x11\x08\x00\x15', b'\xff\xc0\x00\x11\x08\x00\x00'),  # its height comes later
        jpeg().replace(b'\xff\xdb\x00\x43', b'\xff\xdb\x00\x01', 1),
    ],
)
def test_what_is_not_plain_is_left_to_pillow(data):
    assert plain_header(data) is None


def test_pixels_are_those_of_a_file_that_is_not_plain(tmp_path):
    for name, options in {'plain.jpg': {}, 'other.jpg': dict(icc_profile=b'a profile')}.items():
        (tmp_path / name).write_bytes(jpeg(**options))
    np.testing.assert_array_equal(read_image(tmp_path / 'plain.jpg'), read_image(tmp_path / 'other.jpg'))


def test_the_bound_of_pixels_holds(tmp_path, monkeypatch):
    (tmp_path / 'a.jpg').write_bytes(jpeg())
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_PIXELS', '776')
    with pytest.raises(UnreadableImage, match='37x21 are more than the 776 pixels allowed'):
        read_image(tmp_path / 'a.jpg')


def test_broken_pixels_are_named_as_ever(tmp_path):
    data = jpeg()
    (tmp_path / 'a.jpg').write_bytes(data[: data.index(b'\xff\xda') + 8])
    with pytest.raises(UnreadableImage, match=r'a\.jpg: a JPEG with a broken header'):
        read_image(tmp_path / 'a.jpg')
