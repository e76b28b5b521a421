import json
import zipfile

import cv2
import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.quickstart.sample_data import PHOTOS, TILE, cut_boxes, make_sample_data, read_voc_boxes, tile_origins

SIZES = {'train': (620, 640), 'val': (330, 640)}  # height, width
#: VOC corners: counted from 1, both inside the box.
CORNERS = {
    'train': [
        (101, 51, 150, 80),  # in the first tile alone
        (281, 101, 320, 140),  # half of it in the left tile, nothing of it in the right one
        (293, 201, 332, 240),  # a fifth in the left tile: dropped
        (331, 21, 350, 40),  # half of it in the right tile
        (400, 306, 419, 325),  # no row of tiles shows more than a quarter
        (610, 591, 640, 620),  # up to the photo's last pixels
    ],
    'val': [(1, 1, 20, 10)],
}


def photo(split):
    height, width = SIZES[split]
    coarse = np.random.default_rng(len(split)).uniform(20, 235, (6, 7, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def voc(corners):
    keys = ('xmin', 'ymin', 'xmax', 'ymax')
    objects = ''.join(
        '<object><name>Tree</name><bndbox>'
        + ''.join(f'<{key}>{value}</{key}>' for key, value in zip(keys, box, strict=True))
        + '</bndbox></object>'
        for box in corners
    )
    return f'<annotation><filename>a.png</filename>{objects}</annotation>'.encode()


def write_wheel(path, replace=()):
    members = {}
    for split, name in PHOTOS.items():
        members[f'{name}.png'] = cv2.imencode('.png', photo(split))[1].tobytes()
        members[f'{name}.xml'] = voc(CORNERS[split])
    members.update(replace)
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sample_data')
    counts = make_sample_data(folder / 'new' / 'data', write_wheel(folder / 'deepforest.whl'))
    return folder / 'new' / 'data', counts


def boxes_of(coco):
    """Tile's file name -> its boxes."""
    names = {image['id']: image['file_name'] for image in coco['images']}
    boxes = {name: [] for name in names.values()}
    for annotation in coco['annotations']:
        boxes[names[annotation['image_id']]].append(annotation['bbox'])
    return boxes


def test_the_folder_holds_the_tiles_and_two_annotation_files(made):
    out, counts = made
    assert sorted(path.name for path in out.iterdir()) == ['train', 'train.json', 'val', 'val.json']
    assert [path.name for path in out.parent.iterdir()] == ['data']
    assert sorted(path.name for path in (out / 'train').iterdir()) == [
        '0000_0000.jpg',
        '0000_0320.jpg',
        '0340_0000.jpg',
        '0340_0320.jpg',
    ]
    assert sorted(path.name for path in (out / 'val').iterdir()) == ['0000_0000.jpg', '0340_0000.jpg']
    assert counts == {'train': (4, 4), 'val': (2, 1)}


def test_tiles_are_the_photos_pixels(made):
    out, _ = made
    for split in PHOTOS:
        picture = photo(split)
        for path in (out / split).iterdir():
            x, y = (int(part) for part in path.stem.split('_'))
            tile = cv2.imread(str(path))
            assert tile.shape == (TILE, TILE, 3)
            there = picture[y : y + TILE, x : x + TILE].astype(int)
            assert np.abs(tile - there).mean() < 2
            assert np.abs(tile[..., ::-1] - there).mean() > 10


def test_boxes_are_clipped_to_the_tile_and_dropped_where_little_is_left(made):
    out, _ = made
    assert boxes_of(json.loads((out / 'train.json').read_text())) == {
        '0000_0000.jpg': [[100, 50, 50, 30], [280, 100, 20, 40]],
        '0000_0320.jpg': [],
        '0340_0000.jpg': [[0, 20, 10, 20]],
        '0340_0320.jpg': [[609 - 340, 590 - 320, 31, 30]],
    }
    assert boxes_of(json.loads((out / 'val.json').read_text())) == {
        '0000_0000.jpg': [[0, 0, 20, 10]],
        '0340_0000.jpg': [],
    }


def test_annotations_are_valid_coco(made):
    out, _ = made
    for split in PHOTOS:
        coco = json.loads((out / f'{split}.json').read_text())
        for kind in ('images', 'annotations'):
            ids = [entry['id'] for entry in coco[kind]]
            assert len(set(ids)) == len(ids) > 0
        assert coco['categories'] == [{'id': 1, 'name': 'tree'}]
        assert all((image['width'], image['height']) == (TILE, TILE) for image in coco['images'])
        for annotation in coco['annotations']:
            assert annotation['category_id'] == 1 and annotation['iscrowd'] == 0
            assert annotation['area'] == annotation['bbox'][2] * annotation['bbox'][3]


def test_voc_corners_are_counted_from_1_and_inclusive():
    assert read_voc_boxes(voc([(1, 1, 1, 1), (11, 21, 30, 60)])).tolist() == [[0, 0, 1, 1], [10, 20, 30, 60]]
    assert read_voc_boxes(voc([])).shape == (0, 4)


@pytest.mark.parametrize(('x1', 'left'), [(270, True), (288, True), (289, False), (310, False)])
def test_a_box_stays_while_three_tenths_of_it_are_visible(x1, left):
    """40 px wide: 12 of them reach the bound exactly."""
    boxes = np.array([[x1, 10.0, x1 + 40, 30]])
    assert cut_boxes(boxes, 0, 0).tolist() == ([[x1, 10, 300, 30]] if left else [])


@pytest.mark.parametrize(('length', 'origins'), [(300, [0]), (330, [0]), (620, [0, 320]), (900, [0, 300, 600])])
def test_tiles_reach_both_ends_of_a_side_evenly(length, origins):
    assert tile_origins(length) == origins


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    wheel = write_wheel(tmp_path / 'deepforest.whl')
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'mine.txt').write_text('precious')
    with pytest.raises(UserError, match='data exists already; delete it or name another folder'):
        make_sample_data(tmp_path / 'data', wheel)
    assert [path.name for path in (tmp_path / 'data').iterdir()] == ['mine.txt']


def assert_refused_without_trace(folder, wheel):
    (folder / 'out').mkdir()
    with pytest.raises(UserError, match=f'{wheel.name} is not the wheel that is expected'):
        make_sample_data(folder / 'out' / 'data', wheel)
    assert list((folder / 'out').iterdir()) == []


@pytest.mark.parametrize('content', [None, b'', b'no zip at all'])
def test_a_file_that_is_no_wheel_is_refused_and_nothing_is_left(tmp_path, content):
    wheel = tmp_path / 'other.whl'
    if content is not None:
        wheel.write_bytes(content)
    assert_refused_without_trace(tmp_path, wheel)


@pytest.mark.parametrize('missing', ['train', 'val'])
def test_another_wheel_is_refused_and_nothing_is_left(tmp_path, missing):
    wheel = write_wheel(tmp_path / 'other.whl', {f'{PHOTOS[missing]}.xml': None})
    assert_refused_without_trace(tmp_path, wheel)


@pytest.mark.parametrize('ending', ['png', 'xml'])
def test_a_wheel_with_a_broken_member_is_refused_and_nothing_is_left(tmp_path, ending):
    wheel = write_wheel(tmp_path / 'other.whl', {f'{PHOTOS["val"]}.{ending}': b'broken'})
    assert_refused_without_trace(tmp_path, wheel)
