import cv2
import numpy as np
import pillow_heif
import pytest
from image_files import psd
from PIL import Image, ImageOps

from mmsoco.images.decoding import UnreadableImage, load_image, read_image
from mmsoco.images.endings import IMAGE_SUFFIXES
from mmsoco.images.finding import list_images
from mmsoco.images.reading import Reading

pillow_heif.register_heif_opener()


@pytest.fixture
def rgb():
    """(60, 80, 3) uint8, smooth, so that JPEG changes it little; no symmetry."""
    coarse = np.random.default_rng(0).uniform(30, 225, (3, 4, 3)).astype(np.float32)
    return cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def difference(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).mean()


def test_pixels_are_rgb(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / 'a.png')
    image = read_image(tmp_path / 'a.png')
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, rgb)


@pytest.mark.parametrize('suffix', sorted(IMAGE_SUFFIXES))
def test_every_kind_of_file_that_is_listed_can_be_read(tmp_path, rgb, suffix):
    path = tmp_path / f'a{suffix}'
    if suffix == '.npy':
        np.save(path, rgb)
    elif suffix == '.psd':
        path.write_bytes(psd(rgb))
    else:
        Image.fromarray(rgb).convert({'.pgm': 'L', '.pbm': '1'}.get(suffix, 'RGB')).save(path)
    assert list_images(tmp_path) == [path.name]
    reference = rgb if suffix == '.npy' else np.asarray(Image.open(path).convert('RGB'))
    assert difference(read_image(path), reference) < 1


def test_grey_becomes_three_equal_channels(tmp_path, rgb):
    Image.fromarray(rgb[..., 0]).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), np.repeat(rgb[..., :1], 3, axis=2))


def test_alpha_is_dropped(tmp_path, rgb):
    alpha = np.tile(np.arange(80, dtype=np.uint8), (60, 1))
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), rgb)


def test_cmyk_jpeg_becomes_rgb(tmp_path, rgb):
    Image.fromarray(rgb).convert('CMYK').save(tmp_path / 'a.jpg', quality=95)
    assert Image.open(tmp_path / 'a.jpg').mode == 'CMYK'
    image = read_image(tmp_path / 'a.jpg')
    assert difference(image, rgb) < 3
    assert difference(255 - image, rgb) > 30


def test_16_bit_png_becomes_8_bit(tmp_path, rgb):
    deep = rgb.astype(np.uint16) * 256 + 100
    assert cv2.imwrite(str(tmp_path / 'a.png'), deep[..., ::-1])
    image = read_image(tmp_path / 'a.png')
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - rgb).max() <= 1


def test_an_animation_gives_its_first_frame(tmp_path, rgb):
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
    first = np.asarray(Image.open(tmp_path / 'a.gif').convert('RGB'))
    assert difference(read_image(tmp_path / 'a.gif'), first) < 1


@pytest.mark.parametrize('orientation', range(1, 9))
def test_the_exif_orientation_is_applied(tmp_path, rgb, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rgb).save(tmp_path / 'a.jpg', exif=exif, quality=95)
    stored = Image.open(tmp_path / 'a.jpg')
    upright = np.asarray(ImageOps.exif_transpose(stored))
    assert difference(read_image(tmp_path / 'a.jpg'), upright) < 1
    if orientation in (2, 3, 4):  # same size, so the comparison could be blind
        assert difference(np.asarray(stored), upright) > 5


def test_a_image_of_one_pixel(tmp_path):
    Image.fromarray(np.array([[[10, 20, 30]]], np.uint8)).save(tmp_path / 'a.png')
    assert read_image(tmp_path / 'a.png').tolist() == [[[10, 20, 30]]]


@pytest.mark.parametrize(
    'content, words',
    [
        (b'', 'not an image but an empty file'),
        (b'no image at all\n' * 20, 'not an image but text'),
        (b'\x89PNG\r\n\x1a\n', 'a PNG with a broken header'),
        (bytes(5000), 'not an image but a file of zeros'),
        (b'<!DOCTYPE html><html>', 'not an image but HTML'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'not an image but a Git LFS pointer'),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, words):
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=f'a.jpg: {words}'):
        read_image(path)


def test_a_missing_file_is_unreadable_and_named(tmp_path):
    with pytest.raises(UnreadableImage, match=r'gone\.jpg: No such file'):
        read_image(tmp_path / 'gone.jpg')


def test_a_folder_named_like_a_image_is_unreadable(tmp_path):
    (tmp_path / 'a.jpg').mkdir()
    with pytest.raises(UnreadableImage, match=r'a\.jpg'):
        read_image(tmp_path / 'a.jpg')


@pytest.mark.parametrize(
    ('least_side', 'by'), [(None, 1), (76, 1), (75, 2), (38, 2), (37, 4), (19, 4), (18, 8), (1, 8)]
)
def test_a_jpeg_is_decoded_as_small_as_may_be(tmp_path, least_side, by):
    colours = np.full((150, 203, 3), (200, 100, 50), np.uint8)
    colours[:, 100:] = (20, 60, 220)
    exif = Image.Exif()
    exif[274] = 6  # to be turned to the right
    Image.fromarray(colours).save(tmp_path / 'a.jpg', quality=95, exif=exif)
    Image.fromarray(colours).convert('L').save(tmp_path / 'grey.jpg', quality=95)
    image = load_image(tmp_path / 'a.jpg', least_side=least_side)
    assert image.pixels.shape == (-(-203 // by), -(-150 // by), 3)
    assert image.full_size == (None if by == 1 else (150, 203))
    np.testing.assert_allclose(image.pixels[1, 5].astype(int), (200, 100, 50), atol=4)
    np.testing.assert_allclose(image.pixels[-2, 5].astype(int), (20, 60, 220), atol=4)
    for channels in (1, 3):
        grey = load_image(tmp_path / 'grey.jpg', Reading(channels), least_side=least_side)
        assert grey.pixels.shape == (-(-150 // by), -(-203 // by), channels)


def test_what_is_never_decoded_smaller(tmp_path):
    image = np.full((64, 64, 3), 90, np.uint8)
    for name in ('a.png', 'a.jpg'):
        Image.fromarray(image).save(tmp_path / name)
    given = {'a.png': [Reading()], 'a.jpg': [Reading(value_range=(0, 100)), Reading(value_range='percentiles')]}
    for name, readings in given.items():
        for reading in readings:
            found = load_image(tmp_path / name, reading, least_side=8)
            assert found.pixels.shape == (64, 64, 3) and found.full_size is None
    assert load_image(tmp_path / 'a.jpg', window=(0, 0, 40, 48), least_side=8).pixels.shape == (48, 40, 3)
