import shutil
import zipfile

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mmsoco.errors import UserError
from mmsoco.pretrain import inspection
from mmsoco.pretrain.inspection import find_duplicates, inspect_images, without_too_large


@pytest.fixture
def folder(images, tmp_path):
    """The eight images, a copy of one, two broken ones, and a text."""
    root = shutil.copytree(images, tmp_path / 'images')
    whole = (root / 'first/1.jpg').read_bytes()
    (root / 'copy.jpg').write_bytes(whole)
    (root / 'half.jpg').write_bytes(whole[: len(whole) // 2])
    (root / 'text.jpg').write_text('no image')
    (root / 'notes.txt').write_text('no image')
    return root


def test_what_a_folder_holds(folder):
    said = []
    facts, names = inspect_images(folder, on_progress=lambda *numbers: said.append(numbers))
    assert (facts.found, facts.readable, facts.usable, len(names)) == (11, 9, 8, 8)
    # The header of half an image can be read, its pixels cannot.
    assert set(facts.unreadable) == {'half.jpg', 'text.jpg'} and 'not an image but text' in facts.unreadable['text.jpg']
    assert facts.duplicates == ['first/1.jpg'] and 'copy.jpg' in names and 'first/1.jpg' not in names
    assert facts.kinds == {'RGB': 9} and said[:2] == [(11, 11), (9, 9)]
    assert any('1 .txt' in note for note in facts.notes)
    sides = [sorted(cv2.imread(str(folder / name)).shape[:2]) for name in [*names, 'copy.jpg']]
    assert list(facts.sides) == np.median(sides, axis=0).astype(int).tolist()
    assert np.prod(facts.smallest) <= np.prod(facts.sides) <= np.prod(facts.largest)


def test_kinds_are_told(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 20)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'grey.png')
    Image.fromarray(np.dstack([pixels] * 4)).save(tmp_path / 'alpha.png')
    Image.fromarray(pixels.astype(np.uint16) * 200).save(tmp_path / 'deep.png')
    cv2.imwrite(str(tmp_path / 'deep colours.png'), np.dstack([pixels.astype(np.uint16) * 200] * 3))
    Image.fromarray(pixels).save(tmp_path / 'pages.tif', save_all=True, append_images=[Image.fromarray(pixels)])
    np.save(tmp_path / 'array.npy', pixels)
    facts = inspect_images(tmp_path)[0]
    assert facts.kinds == {
        'grey': 2, 'RGB with alpha': 1, 'grey of more than 8 bits': 1, 'RGB of more than 8 bits': 1, 'other': 1
    }  # fmt: skip
    assert facts.notes == ['1 of 6 images looked into have several frames or pages; the first is taken']


def test_an_archive_is_looked_at_as_a_folder_is(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / 'images.zip', 'w') as archive:
        for path in sorted(folder.rglob('*.*')):
            archive.write(path, path.relative_to(folder))
    facts, names = inspect_images(tmp_path / 'images.zip')
    assert facts.usable == 8 and all(name.startswith('images.zip/') for name in names)


def test_files_of_one_length_are_not_taken_for_the_same(tmp_path):
    for name, content in {'a.png': b'abc', 'b.png': b'abd', 'c.png': b'abc', 'd.png': b'ab'}.items():
        (tmp_path / name).write_bytes(content)
    assert find_duplicates(tmp_path, ['a.png', 'b.png', 'c.png', 'd.png']) == ['c.png']


def test_files_are_read_as_far_as_they_are_alike(tmp_path, monkeypatch):
    """Of one length, most are told apart by their beginnings; the others are read whole."""
    beginning = bytes(2**16)
    contents = {
        'a.bmp': b'1',
        'b.bmp': b'2',
        'c.bmp': beginning + b'1',
        'd.bmp': beginning + b'2',
        'e.bmp': beginning + b'2',
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    read = []
    content = inspection._content
    monkeypatch.setattr(inspection, '_content', lambda path: read.append(path.name) or content(path))
    said = []
    assert find_duplicates(tmp_path, sorted(contents), on_progress=lambda *numbers: said.append(numbers)) == ['e.bmp']
    assert read == ['c.bmp', 'd.bmp', 'e.bmp'] and said == [(5, 5), (5, 5), (3, 3)]


def test_a_file_that_is_gone_is_like_no_other(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'a')
    assert find_duplicates(tmp_path, ['a.png', 'b.png', 'c.png']) == []


def test_images_that_can_only_be_read_in_parts(tmp_path, monkeypatch):
    """Where tiles can be, they are no broken images; of other kinds, they are."""
    pixels = np.random.default_rng(0).integers(0, 255, (600, 700, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / 'slide.tif', pixels, tile=(64, 64), photometric='rgb')
    np.save(tmp_path / 'array.npy', pixels)
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_PIXELS', '300000')
    # Pillow has a bound of its own, an error from twice as many pixels on.
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    facts, sizes = inspect_images(tmp_path)
    assert set(facts.unreadable) == {'photo.png'} and '300000 pixels' in facts.unreadable['photo.png']
    assert facts.kinds == {'RGB': 1, 'other': 1} and sizes == {'array.npy': (700, 600), 'slide.tif': (700, 600)}
    # Where the others are searched as a whole.
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_PIXELS', '1000000')
    facts, sizes = inspect_images(tmp_path)
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_PIXELS', '400000')
    facts, sizes = without_too_large(facts, {**sizes, 'small.png': (100, 100)})
    assert (facts.readable, len(facts.unreadable), list(sizes)) == (0, 3, ['small.png'])


def test_folders_without_an_image(tmp_path):
    with pytest.raises(UserError, match='holds no images'):
        inspect_images(tmp_path)
    for i in range(2):
        (tmp_path / f'{i}.jpg').write_text('no image')
    with pytest.raises(UserError, match=r'none of the 2 images in .* can be read; 0\.jpg: not an image but text'):
        inspect_images(tmp_path)
