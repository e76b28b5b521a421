"""TIFF of every type, and windows of it; the pixels that are wanted are those that were written."""

import builtins

import numpy as np
import pytest
import tifffile
from image_files import packed_tiff, smooth
from PIL import Image

from mmsoco.images import tiff
from mmsoco.images.decoding import UnreadableImage, image_size, load_image, read_image
from mmsoco.images.reading import Reading

DEEP = smooth().astype(np.uint16) * 16 + 7  # 12 bits


@pytest.mark.parametrize('compression', [None, 'zlib', 'lzw', 'packbits'])
@pytest.mark.parametrize('channels', [1, 3])
def test_12_bits_in_16(tmp_path, compression, channels):
    array = DEEP if channels == 3 else DEEP[..., 0]
    tifffile.imwrite(tmp_path / 'a.tif', array, compression=compression, photometric='rgb' if channels == 3 else None)
    image = load_image(tmp_path / 'a.tif')
    wanted = smooth() if channels == 3 else np.repeat(smooth()[..., :1], 3, axis=2)
    assert np.abs(image.pixels.astype(int) - wanted).max() <= 1
    assert image.met.by == '0..4095'


@pytest.mark.parametrize('bits', [2, 4, 12])
def test_bits_that_share_bytes(tmp_path, bits):
    grey = (DEEP[..., 0] >> (12 - bits)).astype(np.uint16)
    (tmp_path / 'a.tif').write_bytes(packed_tiff(grey, bits))
    wanted = np.rint(grey * (255 / (2**bits - 1)))
    assert np.abs(read_image(tmp_path / 'a.tif')[..., 0] - wanted).max() <= 1


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1(tmp_path, dtype):
    tifffile.imwrite(tmp_path / 'a.tif', (smooth() / 255).astype(dtype), photometric='rgb')
    assert np.abs(read_image(tmp_path / 'a.tif').astype(int) - smooth()).max() <= 1


def test_a_declared_range(tmp_path):
    tags = [(280, 3, 3, (0, 0, 0), True), (281, 3, 3, (2550,) * 3, True)]
    tifffile.imwrite(tmp_path / 'a.tif', smooth().astype(np.uint16) * 10, photometric='rgb', extratags=tags)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif'), smooth())


def test_white_that_is_0(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', 65535 - smooth()[..., 0].astype(np.uint16) * 257, photometric='miniswhite')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif')[..., 0], smooth()[..., 0])


def test_deep_cmyk_is_converted(tmp_path):
    array = np.array([[[0, 0, 0, 0], [65535, 0, 0, 0], [0, 0, 0, 65535], [0, 32768, 0, 0]]], np.uint16)
    tifffile.imwrite(tmp_path / 'a.tif', array, photometric='separated')
    assert read_image(tmp_path / 'a.tif', Reading(value_range='type')).tolist() == [
        [[255, 255, 255], [0, 255, 255], [0, 0, 0], [255, 127, 255]]
    ]
    assert read_image(tmp_path / 'a.tif', Reading(4, 'type')).shape == (1, 4, 4)


@pytest.mark.parametrize('layout', ['together', 'planes', 'pages'])
def test_thirteen_channels(tmp_path, layout):
    array = np.random.default_rng(0).integers(0, 4096, (20, 30, 13), dtype=np.uint16)
    array.flat[0] = 4095
    options = {
        'together': dict(planarconfig='contig', photometric='minisblack'),
        'planes': dict(planarconfig='separate', photometric='minisblack'),
        'pages': dict(photometric='minisblack'),
    }[layout]
    tifffile.imwrite(tmp_path / 'a.tif', array if layout == 'together' else np.moveaxis(array, 2, 0), **options)
    image = read_image(tmp_path / 'a.tif', Reading(13))
    np.testing.assert_array_equal(image, np.rint(array * (255 / 4095)))
    assert image_size(tmp_path / 'a.tif') == (30, 20)
    if layout != 'pages':
        with pytest.raises(UnreadableImage, match='has 13 channels where 3 are asked'):
            read_image(tmp_path / 'a.tif')


def test_a_fourth_channel_that_is_no_alpha_is_one_of_four(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    tifffile.imwrite(tmp_path / 'a.tif', array, photometric='rgb', extrasamples=['unspecified'])
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif', Reading(4)), array)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif'), array[..., :3])


def test_pages_are_counted(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.stack([smooth(), 255 - smooth(), smooth()]), photometric='rgb')
    image = load_image(tmp_path / 'a.tif')
    np.testing.assert_array_equal(image.pixels, smooth())
    assert image.frames == 3


@pytest.mark.parametrize('orientation', range(2, 9))
def test_deep_ones_are_turned_as_pillow_turns_plain_ones(tmp_path, orientation):
    for name, array in (('plain', smooth()), ('deep', smooth().astype(np.uint16) * 257)):
        tags = [(274, 3, 1, orientation, True)]
        tifffile.imwrite(tmp_path / f'{name}.tif', array, photometric='rgb', extratags=tags)
    with Image.open(tmp_path / 'plain.tif') as plain:
        wanted = np.asarray(plain)
    np.testing.assert_array_equal(read_image(tmp_path / 'deep.tif'), wanted)
    assert image_size(tmp_path / 'deep.tif') == wanted.shape[1::-1]


def test_a_missing_codec_names_the_extra(tmp_path, monkeypatch):
    array = np.zeros((20, 30, 5), np.uint16)
    tifffile.imwrite(tmp_path / 'a.tif', array, compression='lzw', photometric='minisblack', planarconfig='contig')

    def without(name, *args, **kwargs):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, 'asarray', without)
    with pytest.raises(UnreadableImage, match=r"pip install 'mmsoco\[images\]'.*LZW"):
        read_image(tmp_path / 'a.tif', Reading(5))


def test_without_a_codec_opencv_reads_what_it_can(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / 'a.tif', DEEP, compression='lzw', photometric='rgb')

    def without(*args, **kwargs):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, 'asarray', without)
    assert np.abs(read_image(tmp_path / 'a.tif').astype(int) - smooth()).max() <= 1


WINDOWS = [(0, 0, 130, 90), (10, 20, 60, 30), (129, 89, 1, 1), (47, 31, 2, 2), (70, 40, 60, 50)]


@pytest.mark.parametrize('compression', [None, 'zlib', 'lzw'])
@pytest.mark.parametrize('tile', [None, (32, 48)])
@pytest.mark.parametrize('layout', ['grey', 'rgb', 'planes'])
@pytest.mark.parametrize('dtype', [np.uint8, np.dtype('>u2'), np.float32])
def test_windows_are_parts_of_the_whole(tmp_path, compression, tile, layout, dtype):
    shape = {'grey': (90, 130), 'rgb': (90, 130, 3), 'planes': (5, 90, 130)}[layout]
    array = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    options = dict(photometric='rgb' if layout == 'rgb' else 'minisblack', compression=compression, tile=tile)
    if layout == 'planes':
        options['planarconfig'] = 'separate'
    if tile is None:
        options['rowsperstrip'] = 16
    tifffile.imwrite(tmp_path / 'a.tif', array, byteorder='>' if dtype != np.uint8 else '<', **options)
    reading = Reading({'grey': 1, 'rgb': 3, 'planes': 5}[layout], (0, 255))
    whole = read_image(tmp_path / 'a.tif', reading)
    for x, y, width, height in WINDOWS:
        with builtins.open(tmp_path / 'a.tif', 'rb') as file:
            assert tiff.read_window(file, (x, y, width, height), reading.channels) is not None
        window = read_image(tmp_path / 'a.tif', reading, (x, y, width, height))
        np.testing.assert_array_equal(window, whole[y : y + height, x : x + width])


@pytest.mark.parametrize('kind', ['turned', 'palette', 'jpeg', 'cmyk', 'bits'])
def test_windows_of_what_must_be_read_whole(tmp_path, kind):
    path = tmp_path / 'a.tif'
    if kind == 'turned':
        tifffile.imwrite(path, smooth(), photometric='rgb', extratags=[(274, 3, 1, 6, True)])
    elif kind == 'bits':
        path.write_bytes(packed_tiff(DEEP[..., 0], 12))
    else:
        mode = {'palette': 'P', 'jpeg': 'YCbCr', 'cmyk': 'CMYK'}[kind]
        Image.fromarray(smooth()).convert(mode).save(path, compression='jpeg' if kind == 'jpeg' else None)
    whole = read_image(path)
    np.testing.assert_array_equal(read_image(path, window=(5, 7, 40, 30)), whole[7:37, 5:45])


def test_a_window_outside_is_no_image_any_more(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', smooth(), photometric='rgb')
    Image.fromarray(smooth()).save(tmp_path / 'a.png')
    for name in ('a.tif', 'a.png'):
        with pytest.raises(UnreadableImage, match='changed since it was searched'):
            read_image(tmp_path / name, window=(60, 40, 40, 40))


def test_the_bound_is_of_the_window(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / 'a.tif', smooth(), photometric='rgb')
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_PIXELS', '2000')
    assert read_image(tmp_path / 'a.tif', window=(10, 10, 40, 40)).shape == (40, 40, 3)
    with pytest.raises(UnreadableImage, match='80x60 are more than the 2000 pixels'):
        read_image(tmp_path / 'a.tif')


@pytest.mark.parametrize('compression', [None, 'zlib', 'lzw'])
@pytest.mark.parametrize('bands', [3, 4])
def test_planes_that_are_not_called_rgb(tmp_path, compression, bands):
    """As GDAL writes bands; Pillow would take the first of them thrice."""
    array = np.dstack([smooth(), 255 - smooth()])[..., :bands]
    options = dict(photometric='minisblack', planarconfig='separate', compression=compression)
    tifffile.imwrite(tmp_path / 'a.tif', np.moveaxis(array, 2, 0), **options)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif'), smooth())
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif', window=(5, 7, 30, 20)), smooth()[7:27, 5:35])


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_three_pages_are_no_colours(tmp_path, dtype):
    pages = np.moveaxis(smooth(), 2, 0).astype(dtype)
    tifffile.imwrite(tmp_path / 'a.tif', pages, photometric='minisblack')
    for reading in (Reading(3, (0, 255)), Reading(1, (0, 255))):
        image = load_image(tmp_path / 'a.tif', reading)
        assert image.frames == 3 and (image.pixels == smooth()[..., :1]).all()
        window = read_image(tmp_path / 'a.tif', reading, (5, 7, 30, 20))
        np.testing.assert_array_equal(window, image.pixels[7:27, 5:35])


@pytest.mark.parametrize('tile', [None, (16, 16)])
def test_windows_of_channels_in_pages(tmp_path, tile):
    array = np.random.default_rng(0).integers(0, 256, (5, 40, 50)).astype(np.uint16)
    tifffile.imwrite(tmp_path / 'a.tif', array, photometric='minisblack', tile=tile)
    reading = Reading(5, (0, 255))
    whole = read_image(tmp_path / 'a.tif', reading)
    np.testing.assert_array_equal(whole, np.moveaxis(array, 0, 2))
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif', reading, (5, 7, 30, 20)), whole[7:27, 5:35])


def test_smaller_copies_are_no_frames(tmp_path):
    """As a cloud-optimised GeoTIFF has them."""
    for dtype in (np.uint8, np.uint16):
        with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
            file.write(smooth().astype(dtype), photometric='rgb')
            file.write(smooth()[::2, ::2].astype(dtype), photometric='rgb', subfiletype=1)
        assert load_image(tmp_path / 'a.tif').frames == 1


@pytest.mark.parametrize('dtype', [np.uint8, np.int8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize('photometric', ['minisblack', 'miniswhite'])
@pytest.mark.parametrize('declares', [False, True])
def test_a_window_is_read_as_the_whole(tmp_path, dtype, photometric, declares):
    array = np.random.default_rng(0).integers(0, 100, (40, 50)).astype(dtype)
    tags = [(280, 3, 1, 0, True), (281, 3, 1, 200, True)] if declares else []
    array[0, :2] = array.min(), array.max()  # the values of the whole, in the window
    tifffile.imwrite(tmp_path / 'a.tif', array, photometric=photometric, extratags=tags)
    whole = read_image(tmp_path / 'a.tif')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif', window=(0, 0, 30, 20)), whole[:20, :30])


def test_white_that_is_0_of_12_bits(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', 4095 - DEEP[..., 0], photometric='miniswhite')
    assert np.abs(read_image(tmp_path / 'a.tif')[..., 0].astype(int) - smooth()[..., 0]).max() <= 1


def test_what_is_no_data_counts_for_no_range(tmp_path):
    for dtype, nodata in ((np.float32, float(np.finfo(np.float32).min)), (np.int16, -9999)):
        array = np.array([[nodata, 0, 50, 100]], dtype)
        tags = [(42113, 2, 0, str(nodata), True)]
        tifffile.imwrite(tmp_path / 'a.tif', array, photometric='minisblack', extratags=tags)
        assert read_image(tmp_path / 'a.tif', Reading(1, (0, 100)))[0, :, 0].tolist() == [0, 0, 127, 255]
        by_file = load_image(tmp_path / 'a.tif', Reading(1))
        assert (by_file.met.low, by_file.met.high) == (0, 100)


def test_jpeg_tiles_are_read_by_window(tmp_path):
    """As aerial photos are shipped."""
    array = smooth(600, 800)
    options = dict(photometric='ycbcr', compression='jpeg', compressionargs={'level': 95}, tile=(256, 256))
    tifffile.imwrite(tmp_path / 'a.tif', array, **options)
    whole = read_image(tmp_path / 'a.tif')
    with Image.open(tmp_path / 'a.tif') as image:
        np.testing.assert_array_equal(whole, np.asarray(image.convert('RGB')))
    with builtins.open(tmp_path / 'a.tif', 'rb') as file:
        assert tiff.read_window(file, (200, 100, 300, 200), 3) is not None
    window = read_image(tmp_path / 'a.tif', window=(200, 100, 300, 200))
    assert np.abs(window.astype(int) - whole[100:300, 200:500]).max() <= 3


def test_premultiplied_colours_are_divided_in_windows_too(tmp_path):
    array = np.dstack([smooth() // 2, np.full((60, 80), 128, np.uint8)])
    tifffile.imwrite(tmp_path / 'a.tif', array, photometric='rgb', extrasamples=['assocalpha'])
    whole = read_image(tmp_path / 'a.tif')
    assert np.abs(whole.astype(int) - smooth()).max() <= 3
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif', window=(5, 7, 30, 20)), whole[7:27, 5:35])
