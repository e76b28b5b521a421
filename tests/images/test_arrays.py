import numpy as np
import pytest
from image_files import smooth

from mmsoco.images.decoding import UnreadableImage, image_size, read_image
from mmsoco.images.reading import Reading


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.dtype('>u2'), np.float32])
@pytest.mark.parametrize('layout', ['last', 'first', 'fortran'])
def test_any_layout(tmp_path, dtype, layout):
    array = smooth().astype(dtype)
    stored = {'last': array, 'first': np.moveaxis(array, 2, 0), 'fortran': np.asfortranarray(array)}[layout]
    np.save(tmp_path / 'a.npy', stored)
    reading = Reading(value_range=(0, 255))
    np.testing.assert_array_equal(read_image(tmp_path / 'a.npy', reading), smooth())
    assert image_size(tmp_path / 'a.npy') == (80, 60)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.npy', reading, (5, 7, 30, 20)), smooth()[7:27, 5:35])


def test_grey_and_many(tmp_path):
    np.save(tmp_path / 'grey.npy', smooth()[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / 'grey.npy')[..., 1], smooth()[..., 0])
    many = np.random.default_rng(0).random((13, 20, 30))
    np.save(tmp_path / 'many.npy', many)
    np.testing.assert_array_equal(
        read_image(tmp_path / 'many.npy', Reading(13, (0, 1))), np.rint(np.moveaxis(many, 0, 2) * 255)
    )


@pytest.mark.parametrize(
    'array, words',
    [
        (np.zeros(5), r'shape \(5,\)'),
        (np.zeros((2, 3, 4, 5)), r'shape \(2, 3, 4, 5\)'),
        (np.zeros((0, 3)), r'shape \(0, 3\)'),
        (np.zeros((3, 3), complex), 'complex128'),
        (np.array([['a']]), '<U1'),
    ],
)
def test_what_is_no_image(tmp_path, array, words):
    np.save(tmp_path / 'a.npy', array)
    with pytest.raises(UnreadableImage, match=f'a NumPy array of {words}, which is no image'):
        read_image(tmp_path / 'a.npy')


def test_objects_are_not_loaded(tmp_path):
    """Pickles run code."""
    np.save(tmp_path / 'a.npy', np.array([[{}]]), allow_pickle=True)
    with pytest.raises(UnreadableImage, match='a NumPy array of object, which is no image'):
        read_image(tmp_path / 'a.npy')


@pytest.mark.parametrize('kept', [0.1, 0.9])
def test_what_ends_early(tmp_path, kept):
    np.save(tmp_path / 'a.npy', smooth())
    content = (tmp_path / 'a.npy').read_bytes()
    (tmp_path / 'a.npy').write_bytes(content[: int(kept * len(content))])
    for window in (None, (40, 50, 9, 9)):
        with pytest.raises(UnreadableImage, match='a NumPy array that ends early'):
            read_image(tmp_path / 'a.npy', window=window)
