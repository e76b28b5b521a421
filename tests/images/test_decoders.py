"""Every kind of file has Pillow's size and pixels; deeper ones have those that were written."""

import os
import struct
import subprocess
import sys
import threading
import time

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import pytest
from image_files import XMP_TURNED, broken_apng, exif, png, png_chunk, smooth
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from mmsoco.images import decoders, decoding
from mmsoco.images.comparison import compare
from mmsoco.images.decoding import UnreadableImage, image_size, load_image, read_image
from mmsoco.images.reading import Reading

DEEP = smooth().astype(np.uint16) * 16 + 7  # 12 bits
pillow_heif.register_heif_opener()


def pillow(path, mode='RGB'):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert(mode))


def assert_as_pillow(path):
    wanted = pillow(path)
    image = read_image(path)
    assert image.shape == wanted.shape and np.abs(image.astype(int) - wanted).max() <= 3
    assert image_size(path) == wanted.shape[1::-1]


@pytest.mark.parametrize('ending', ['jpg', 'webp', 'png', 'tif', 'avif', 'heic'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientations_of_exif(tmp_path, ending, orientation):
    path = tmp_path / f'a.{ending}'
    Image.fromarray(smooth()).save(path, exif=exif(orientation), **({'lossless': True} if ending == 'webp' else {}))
    assert_as_pillow(path)
    if orientation > 1 and ending != 'heic':  # which is turned when it is written
        assert read_image(path).shape != smooth().shape or np.abs(read_image(path).astype(int) - smooth()).mean() > 5


@pytest.mark.parametrize('ending', ['jpg', 'webp', 'png'])
def test_an_orientation_of_xmp(tmp_path, ending):
    path, options = tmp_path / f'a.{ending}', dict(xmp=XMP_TURNED)
    if ending == 'png':
        options = dict(pnginfo=PngInfo())
        options['pnginfo'].add_itxt('XML:com.adobe.xmp', XMP_TURNED.decode())
    Image.fromarray(smooth()).save(path, **options)
    assert_as_pillow(path)
    assert image_size(path) == (60, 80)


@pytest.mark.parametrize('bits', [8, 16])
def test_an_orientation_behind_the_pixels(tmp_path, bits):
    content = exif(6).tobytes().removeprefix(b'Exif\0\0')
    array = smooth() if bits == 8 else smooth().astype('>u2') * 257
    (tmp_path / 'a.png').write_bytes(png(array, bits, 2, behind=[(b'eXIf', content)]))
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), np.rot90(smooth(), -1))
    assert image_size(tmp_path / 'a.png') == (60, 80)


def test_broken_exif_is_none(tmp_path):
    path = tmp_path / 'a.jpg'
    Image.fromarray(smooth()).save(path, exif=b'Exif\0\0II*\0\xff\xff\xff\x7f')
    assert read_image(path).shape == (60, 80, 3) and image_size(path) == (80, 60)


@pytest.mark.parametrize(
    'ending, mode',
    [
        *(('png', mode) for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA')),
        *(('tif', mode) for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'YCbCr')),
        *(('jpg', mode) for mode in ('L', 'RGB', 'CMYK')),
        *(('bmp', mode) for mode in ('1', 'L', 'P', 'RGB')),
        *(('tga', mode) for mode in ('L', 'RGB', 'RGBA')),
        *(('webp', mode) for mode in ('RGB', 'RGBA')),
        *(('avif', mode) for mode in ('RGB', 'RGBA')),
        *(('jp2', mode) for mode in ('L', 'RGB', 'RGBA')),
        *((ending, 'RGB') for ending in ('gif', 'ppm', 'sgi', 'pcx', 'ico', 'dds', 'qoi', 'heic')),
        *(('pgm', 'L'), ('pbm', '1')),
    ],
)
def test_kinds_and_modes(tmp_path, ending, mode):
    path = tmp_path / f'a.{ending}'
    Image.fromarray(smooth()).convert(mode).save(path)
    assert_as_pillow(path)
    assert compare(path).verdict == 'equal'
    grey = read_image(path, Reading(1))
    assert grey.shape[2] == 1 and np.abs(grey[..., 0].astype(int) - pillow(path, 'L')).max() <= 3


@pytest.mark.parametrize('ending', ['gif', 'png', 'webp', 'avif'])
def test_of_frames_the_first(tmp_path, ending):
    path = tmp_path / f'a.{ending}'
    others = [Image.fromarray(255 - smooth()), Image.fromarray(smooth()[::-1])]
    Image.fromarray(smooth()).save(path, save_all=True, append_images=others)
    assert_as_pillow(path)
    assert load_image(path).frames == 3


def deep_files():
    """Name -> file of which :data:`DEEP`, of 12 bits, is the content; some say that they are 12."""
    encode = dict(level=0, reversible=True, mct=False)
    big = DEEP.astype('>u2')
    return {
        'rgb.png': png(big, 16, 2),
        'grey.png': png(big[..., 0], 16, 0),
        'significant.png': png(big[..., 0], 16, 0, before=[(b'sBIT', bytes([12]))]),
        'alpha.png': png(np.dstack([DEEP, DEEP[..., 0]]).astype('>u2'), 16, 6),
        'grey-alpha.png': png(big[..., :2], 16, 4),
        'animated.png': png(big, 16, 2, before=[(b'acTL', struct.pack('>II', 2, 0))]),
        'grey.pgm': b'P5\n80 60\n4095\n' + big[..., 0].tobytes(),
        'rgb.ppm': b'P6\n80 60\n4095\n' + big.tobytes(),
        'type.pgm': b'P5\n80 60\n65535\n' + big[..., 0].tobytes(),
        'type.ppm': b'P6\n80 60\n65535\n' + big.tobytes(),
        'plain.ppm': b'P3\n80 60\n4095\n' + ' '.join(map(str, DEEP.ravel())).encode() + b'\n',
        'rgb.jp2': imagecodecs.jpeg2k_encode(DEEP, bitspersample=12, **encode),
        'grey.jp2': imagecodecs.jpeg2k_encode(DEEP[..., 0], bitspersample=12, **encode),
        'type.jp2': imagecodecs.jpeg2k_encode(DEEP, **encode),
        'type-grey.jp2': imagecodecs.jpeg2k_encode(DEEP[..., 0], **encode),
    }


@pytest.mark.parametrize('name', deep_files())
def test_12_bits_in_16(tmp_path, name):
    (tmp_path / name).write_bytes(deep_files()[name])
    grey = any(word in name for word in ('grey', 'significant', 'type.pgm'))
    wanted = np.repeat(smooth()[..., :1], 3, axis=2) if grey else smooth()
    image = load_image(tmp_path / name)
    assert np.abs(image.pixels.astype(int) - wanted).max() <= 1
    assert (image.met.by, image.met.high) == ('0..4095', DEEP[..., 0].max() if grey else DEEP.max())
    # Where 12 bits are a guess, darker ones are others.
    dark = load_image(tmp_path / name, Reading(value_range=(0, 65535)))
    assert dark.pixels.max() <= 16
    assert compare(tmp_path / name).verdict == 'deep'


def test_a_maxval_that_is_no_power_of_two(tmp_path):
    values = np.array([[0, 250, 500, 1000]], '>u2')
    (tmp_path / 'a.pgm').write_bytes(b'P5\n4 1\n1000\n' + values.tobytes())
    assert read_image(tmp_path / 'a.pgm')[0, :, 0].tolist() == [0, 64, 128, 255]
    (tmp_path / 'a.pgm').write_bytes(b'P5\n4 1\n15\n' + bytes([0, 5, 10, 15]))
    assert read_image(tmp_path / 'a.pgm')[0, :, 0].tolist() == [0, 85, 170, 255]


def test_alpha_counts_where_four_channels_are_asked_for(tmp_path):
    four = np.dstack([smooth(), smooth()[..., 0]])
    Image.fromarray(four).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png', Reading(4)), four)
    (tmp_path / 'b.png').write_bytes(png(np.dstack([DEEP, DEEP[..., 0]]).astype('>u2'), 16, 6))
    assert np.abs(read_image(tmp_path / 'b.png', Reading(4)).astype(int) - four).max() <= 1


def test_no_file_kills_the_process(tmp_path):
    """What OpenCV dies of; a process of its own, in case that it does."""
    (tmp_path / 'a.png').write_bytes(broken_apng())
    code = (
        'import sys\nfrom mmsoco.images.decoding import UnreadableImage, read_image\n'
        'try:\n    read_image(sys.argv[1])\nexcept UnreadableImage as error:\n    print(error.reason)'
    )
    run = subprocess.run([sys.executable, '-c', code, tmp_path / 'a.png'], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, '') and run.stdout.startswith('a PNG that is damaged')


def test_opencv_is_given_no_animation(tmp_path, monkeypatch):
    given = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, 'imdecode', lambda data, flags: given.append(data.tobytes()) or decode(data, flags))
    (tmp_path / 'deep.png').write_bytes(png(DEEP.astype('>u2'), 16, 2, before=[(b'acTL', struct.pack('>II', 2, 0))]))
    (tmp_path / 'plain.png').write_bytes(png(smooth(), 8, 2, before=[(b'acTL', struct.pack('>II', 2, 0))]))
    for name in ('deep.png', 'plain.png'):
        read_image(tmp_path / name)
    assert len(given) == 1 and b'acTL' not in given[0]


def whole_files():
    rgb = Image.fromarray(smooth())
    for ending in ('jpg', 'png', 'gif', 'bmp', 'webp', 'tif', 'jp2', 'avif', 'heic', 'tga', 'sgi'):
        yield ending, rgb
    yield 'cmyk.jpg', rgb.convert('CMYK')


ENDS = r': an? \w+ (that ends early|that is damaged|with a broken header) \('


@pytest.mark.parametrize('name', [name for name, _ in whole_files()])
@pytest.mark.parametrize('share', [0.5, 0.9])
def test_what_ends_early_is_called_so(tmp_path, name, share, capfd):
    path = tmp_path / f'a.{name}'
    dict(whole_files())[name].save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        UnreadableImage, match=r'a\.\S+: an? \w+ (that ends early|that is damaged|with a broken header)'
    ):
        read_image(path)
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('name', deep_files())
def test_deep_ones_that_end_early(tmp_path, name, capfd):
    content = deep_files()[name]
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage, match=ENDS):
        read_image(tmp_path / name)
    assert capfd.readouterr() == ('', '')


def test_what_libraries_print_stays_off_the_screen(tmp_path, capfd):
    Image.fromarray(smooth(600, 800)).save(tmp_path / 'a.jpg')
    content = bytearray((tmp_path / 'a.jpg').read_bytes())
    content[len(content) // 2 : len(content) // 2 + 30] = bytes(range(30))
    (tmp_path / 'a.jpg').write_bytes(content)
    read_image(tmp_path / 'a.jpg')  # Pillow reads it, too
    assert capfd.readouterr() == ('', '')


def test_heic_without_its_package_names_the_extra(tmp_path, monkeypatch):
    Image.fromarray(smooth()).save(tmp_path / 'a.heic')
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    with pytest.raises(UnreadableImage, match=r"HEIC, which needs another package: pip install 'mmsoco\[images\]'"):
        read_image(tmp_path / 'a.heic')


@pytest.mark.parametrize(
    'content, words',
    [
        (b'\0\0\0\x1cftypisom', 'not an image but a video'),
        (b'RIFF\0\0\0\0AVI LIST', 'not an image but RIFF (AVI video)'),
        (b'PK\x03\x04', 'not an image but a ZIP archive'),
        (b'<?xml version="1.0"?><svg xmlns="...">', 'SVG, which is not read'),
        (b'\xff\x0a\0\0', 'JPEG XL, which is not read'),
        (b'#?RADIANCE\n', 'Radiance HDR, which is not read'),
        (bytes(128) + b'DICM', 'DICOM, which is not read'),
        (b'{"message": "Not Found"}', 'not an image but JSON'),
        (b'%!PS-Adobe', 'not an image but PostScript'),
        (b'\x01\x02\xff\xfe' * 20, 'not an image of a kind that is known'),
    ],
)
def test_what_a_file_is_instead(tmp_path, content, words):
    (tmp_path / 'a.jpg').write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(UnreadableImage) as error:
            read(tmp_path / 'a.jpg')
        assert error.value.reason.startswith(words)


def test_what_looks_like_a_header_in_a_box_is_none(tmp_path):
    content = imagecodecs.jpeg2k_encode(smooth(), level=0, reversible=True, codecformat='jp2')
    start = content.index(b'jp2h') - 4
    box = b'\xff\x51' + bytes(60)
    content = content[:start] + struct.pack('>I', 8 + len(box)) + b'xml ' + box + content[start:]
    (tmp_path / 'a.jp2').write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.jp2'), smooth())


def test_zeros_behind_a_png_are_not_searched_for_words(tmp_path, monkeypatch):
    (tmp_path / 'a.png').write_bytes(png(smooth(), 8, 2).removesuffix(png_chunk(b'IEND', b'')) + bytes(2_000_000))
    reads = []
    chunks = decoders.png_chunks
    monkeypatch.setattr(decoders, 'png_chunks', lambda file: [reads.append(1) or chunk for chunk in chunks(file)])
    assert image_size(tmp_path / 'a.png') == (80, 60) and len(reads) < 5


def test_other_threads_lines_stay_on_the_screen(tmp_path, capfd):
    Image.fromarray(smooth(600, 800)).save(tmp_path / 'a.jpg')
    end = threading.Event()

    def decode():
        while not end.is_set():
            read_image(tmp_path / 'a.jpg')

    thread = threading.Thread(target=decode)
    thread.start()
    for number in range(200):
        os.write(2, f'{number}\n'.encode())
        time.sleep(0.0005)
    end.set()
    thread.join()
    assert capfd.readouterr().err.split() == [str(number) for number in range(200)]


def test_images_kept_for_their_windows_have_a_bound(tmp_path, monkeypatch):
    kept = decoding._Kept(2 * smooth().nbytes)
    monkeypatch.setattr(decoding, '_kept', kept)
    for name in 'abc':
        Image.fromarray(smooth()).save(tmp_path / f'{name}.png')
    decoded = []
    whole = decoding._whole
    monkeypatch.setattr(decoding, '_whole', lambda path, channels: decoded.append(path.name) or whole(path, channels))
    for name in 'abacbacc':
        read_image(tmp_path / f'{name}.png', window=(1, 2, 3, 4))
    assert ''.join(name[0] for name in decoded) == 'abcbac'
