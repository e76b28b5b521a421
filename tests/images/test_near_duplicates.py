import json
import sys

import cv2
import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.images import near_duplicates
from mmsoco.images.near_duplicates import (
    DISTANCE,
    NearDuplicate,
    find_groups,
    hash_image,
    hash_images,
    near_each_other,
    near_evaluation,
    nearest,
    read_evaluation,
)
from mmsoco.images.reading import Reading


def scene(seed, height=120, width=160):
    """A smooth image with rectangles; (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.uniform(40, 200, (5, 6, 3)).astype(np.float32), (width, height))
    for _ in range(8):
        x, y = rng.integers(0, width - 30), rng.integers(0, height - 30)
        image[y : y + rng.integers(10, 40), x : x + rng.integers(10, 40)] = rng.uniform(0, 255, 3)
    return image.clip(0, 255).astype(np.uint8)


def differ(a, b):
    return int(np.unpackbits(hash_image(a) ^ hash_image(b)).sum())


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


@pytest.mark.parametrize('seed', range(5))
def test_changed_copies_are_near_and_others_are_not(seed):
    image = scene(seed)
    jpeg = cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    for copy in (image, jpeg, cv2.resize(image, (80, 60)), image[2:, 2:], (image * 0.8).astype(np.uint8)):
        assert differ(image, copy) <= DISTANCE
    # By chance, half of the bits differ.
    for other in (scene(seed + 100), image[:, ::-1], image[30:, 40:]):
        assert differ(image, other) > 75


def test_flat_images_have_no_hash():
    flat = np.full((50, 40, 3), 17, np.uint8)
    noisy = flat + np.random.default_rng(0).integers(0, 3, flat.shape).astype(np.uint8)
    assert hash_image(flat) is None and hash_image(noisy) is None
    flat[10:20, 10:30] = 60
    assert hash_image(flat).shape == (32,)


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'imagehash', None)
    with pytest.raises(UserError, match=r"pip install 'mmsoco\[duplicates\]'"):
        hash_image(scene(0))


def flipped(bits, count, start=0):
    """A copy of which some bits differ."""
    flags = np.unpackbits(bits)
    flags[start : start + count] ^= 1
    return np.packbits(flags)


@pytest.fixture
def random_bits():
    return np.random.default_rng(0).integers(0, 256, (300, 32), dtype=np.uint8)


def test_nearest_is_that_of_counting(random_bits, monkeypatch):
    monkeypatch.setattr(near_duplicates, '_ROWS', 7)
    monkeypatch.setattr(near_duplicates, '_COLUMNS', 11)
    a, b = random_bits[:50], np.concatenate([random_bits[60:100], random_bits[60:61]])
    counted = np.unpackbits(a[:, None] ^ b, axis=2).sum(axis=2)
    who, distance = nearest(a, b)
    np.testing.assert_array_equal(who, counted.argmin(axis=1))
    np.testing.assert_array_equal(distance, counted.min(axis=1))
    assert nearest(a, a)[1].tolist() == [0] * 50 and nearest(a[:2], a[:0])[0].tolist() == [-1, -1]
    assert nearest(a[:1], ~a[:1])[1].tolist() == [256]


@pytest.mark.parametrize('rows', [2, 3, 1024])
def test_groups_are_around_the_first_and_do_not_chain(random_bits, rows, monkeypatch):
    monkeypatch.setattr(near_duplicates, '_ROWS', rows)
    film = random_bits[0]
    # Each frame differs by 20 bits from the one before: 0, 40 and 60 of the first.
    bits = [
        film,
        flipped(film, 40),
        flipped(film, 20),
        flipped(film, 60),
        random_bits[1],
        random_bits[1],
        flipped(film, 70),
    ]
    first, apart = find_groups(np.stack(bits), 48)
    assert first.tolist() == [0, 0, 0, 3, 4, 4, 3] and apart.tolist() == [0, 40, 20, 0, 0, 0, 10]


def test_no_group_is_no_group(random_bits):
    first, _ = find_groups(random_bits, 48)
    assert first.tolist() == list(range(300)) and find_groups(random_bits[:0])[0].shape == (0,)


@pytest.fixture
def folder(tmp_path):
    """Two scenes, copies of them, a flat image and a broken one."""
    for name, image in {
        'a.png': scene(1),
        'b.png': scene(2),
        'c.png': scene(1)[1:, 1:],
        'd.jpg': cv2.resize(scene(2), (80, 60)),
        'black1.png': np.zeros((20, 20, 3), np.uint8),
        'black2.png': np.zeros((20, 20, 3), np.uint8),
    }.items():
        save(tmp_path / 'images' / name, image)
    (tmp_path / 'images' / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    return tmp_path / 'images'


def test_what_is_left_out(folder, tmp_path):
    names = ['a.png', 'b.png', 'black1.png', 'black2.png', 'broken.jpg', 'c.png', 'd.jpg']
    done = []
    hashes = hash_images(folder, names, on_progress=done.append)
    assert hashes.names == ['a.png', 'b.png', 'c.png', 'd.jpg'] and hashes.bits.shape == (4, 32) and sum(done) == 7
    assert hashes.flat == ['black1.png', 'black2.png'] and list(hashes.failures) == ['broken.jpg']
    near = near_each_other(hashes)
    assert [row[:3] for row in near] == [('group', 'a.png', 'c.png'), ('group', 'b.png', 'd.jpg')]
    save(tmp_path / 'val' / 'x.jpg', scene(2))
    theirs = hash_images(tmp_path / 'val', ['x.jpg'])
    rows = near_evaluation(hashes, theirs)
    assert [row[:3] for row in rows] == [('evaluation', 'x.jpg', 'b.png'), ('evaluation', 'x.jpg', 'd.jpg')]
    assert [row.near for row in near_each_other(hashes, without={row.left_out for row in rows})] == ['a.png']
    assert isinstance(rows[0], NearDuplicate) and near_evaluation(hashes, hash_images(folder, [])) == []


def coco(path, *images):
    path.write_text(json.dumps({'images': images}))
    return path


def test_where_evaluation_images_are_named(folder, tmp_path):
    assert read_evaluation(folder, 'x').names[:2] == ['a.png', 'b.png']
    (tmp_path / 'list.txt').write_text(f'.\\A.png\n{folder}/b.png\ngone.png\n/etc/passwd\n')
    found = read_evaluation(tmp_path / 'list.txt', folder)
    assert found == (folder, ['a.png', 'b.png'], ['gone.png', '/etc/passwd'])
    save(folder / 'val2017' / '000000000139.jpg', scene(3))
    save(folder / '7.jpg', scene(4))
    images = (
        {'file_name': './a.png'},
        {'file_name': 'A.png'},
        {'coco_url': 'http://x.org/val2017/000000000139.jpg'},
        {'file_name': None, 'coco_url': 'http://x.org/other/b.png?x=1'},
        {'file_name': 7},
        {'coco_url': 'http://x.org/val2017/000000000140.jpg'},
        {'file_name': 'gone.png'},
    )
    found = read_evaluation(coco(tmp_path / 'val.json', *images), folder)
    assert found.names == ['a.png', 'val2017/000000000139.jpg', 'b.png', '7.jpg']
    assert found.root == folder and found.missing == ['val2017/000000000140.jpg', 'gone.png']


@pytest.mark.parametrize(
    'image', [{}, 3, [], {'file_name': ['a.png']}, {'file_name': ''}, {'coco_url': 5}, {'coco_url': None}]
)
def test_what_is_no_coco_json_with_names(tmp_path, image):
    with pytest.raises(UserError, match='not COCO JSON with the names of images'):
        read_evaluation(coco(tmp_path / 'val.json', {'file_name': 'a.png'}, image), tmp_path)
    for content in ('[]', '{', '{"images": 3}'):
        (tmp_path / 'val.json').write_text(content)
        with pytest.raises(UserError, match='not COCO JSON with the names of images'):
            read_evaluation(tmp_path / 'val.json', tmp_path)


def test_images_of_many_channels_are_compared_as_a_search_sees_them(tmp_path):
    for name, seed in (('a', 1), ('b', 2), ('c', 1)):
        np.save(tmp_path / f'{name}.npy', np.concatenate([scene(seed + 10 * i) for i in range(5)], axis=2)[..., :13])
    names = ['a.npy', 'b.npy', 'c.npy']
    assert len(hash_images(tmp_path, names).failures) == 3
    for triple, seen in ((None, None), ((1, 2, 3), scene(1)), ((4, 5, 6), scene(11))):
        hashes = hash_images(tmp_path, names, reading=Reading(13, triple=triple))
        assert [row[1:3] for row in near_each_other(hashes)] == [('a.npy', 'c.npy')]
        assert seen is None or (hashes.bits[0] == hash_image(seen)).all()
