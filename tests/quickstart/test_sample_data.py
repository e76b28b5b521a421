import json
import zipfile

import cv2
import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.quickstart.sample_data import (
    PHOTOS,
    SPLITS,
    TILE,
    cut_boxes,
    make_sample_data,
    read_voc_boxes,
    tile_origins,
)

SIZES = {'meadow': (1200, 440), 'road': (220, 440)}  # height, width
#: VOC corners: counted from 1, both inside the box.
CORNERS = {
    'meadow': [
        (101, 51, 150, 80),  # in the first tile alone
        (181, 101, 220, 140),  # half of it in the left tile, nothing of it in the right one
        (193, 151, 232, 190),  # a fifth in the left tile: dropped
        (231, 21, 250, 40),  # half of it in the right tile
        (101, 791, 120, 810),  # half of it above the line between the splits
        (411, 1171, 440, 1200),  # up to the photo's last pixels
    ],
    'road': [(1, 1, 20, 10)],
}


def photo(name):
    height, width = SIZES[name]
    coarse = np.random.default_rng(len(name)).uniform(20, 235, (6, 7, 3)).astype(np.float32)
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
    for name, path_in_wheel in PHOTOS.items():
        members[f'{path_in_wheel}.png'] = cv2.imencode('.png', photo(name))[1].tobytes()
        members[f'{path_in_wheel}.xml'] = voc(CORNERS[name])
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
    meadow = [f'meadow_{x:04d}_{y:04d}.jpg' for x in (0, 240) for y in (0, 200, 400, 600)]
    road = ['road_0000_0000.jpg', 'road_0240_0000.jpg']
    assert sorted(path.name for path in (out / 'train').iterdir()) == meadow + road
    below = [f'meadow_{x:04d}_{y:04d}.jpg' for x in (0, 240) for y in (800, 1000)]
    assert sorted(path.name for path in (out / 'val').iterdir()) == below
    assert counts == {'train': (10, 5), 'val': (4, 2)}


def test_tiles_are_the_photos_pixels_and_no_pixel_is_in_both_splits(made):
    out, _ = made
    for split, rows in (('train', (0, 800)), ('val', (800, 1200))):
        for path in (out / split).iterdir():
            name, x, y = path.stem.split('_')
            x, y = int(x), int(y)
            tile = cv2.imread(str(path))
            assert tile.shape == (TILE, TILE, 3)
            there = photo(name)[y : y + TILE, x : x + TILE].astype(int)
            assert np.abs(tile - there).mean() < 2
            assert np.abs(tile[..., ::-1] - there).mean() > 10
            assert name == 'road' or rows[0] <= y <= rows[1] - TILE


def test_boxes_are_clipped_to_the_tile_and_dropped_where_little_is_left(made):
    out, _ = made
    train, val = (
        {name: boxes for name, boxes in boxes_of(json.loads((out / f'{split}.json').read_text())).items() if boxes}
        for split in ('train', 'val')
    )
    assert train == {
        'meadow_0000_0000.jpg': [[100, 50, 50, 30], [180, 100, 20, 40]],
        'meadow_0240_0000.jpg': [[0, 20, 10, 20]],
        'meadow_0000_0600.jpg': [[100, 190, 20, 10]],
        'road_0000_0000.jpg': [[0, 0, 20, 10]],
    }
    assert val == {
        'meadow_0000_0800.jpg': [[100, 0, 20, 10]],
        'meadow_0240_1000.jpg': [[410 - 240, 1170 - 1000, 30, 30]],
    }


def test_annotations_are_valid_coco(made):
    out, _ = made
    for split in SPLITS:
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


@pytest.mark.parametrize(('x1', 'left'), [(170, True), (188, True), (189, False), (210, False)])
def test_a_box_stays_while_three_tenths_of_it_are_visible(x1, left):
    """40 px wide: 12 of them reach the bound exactly."""
    boxes = np.array([[x1, 10.0, x1 + 40, 30]])
    assert cut_boxes(boxes, 0, 0).tolist() == ([[x1, 10, 200, 30]] if left else [])


@pytest.mark.parametrize(('length', 'origins'), [(200, [0]), (220, [0]), (440, [0, 240]), (600, [0, 200, 400])])
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


@pytest.mark.parametrize('missing', PHOTOS)
def test_another_wheel_is_refused_and_nothing_is_left(tmp_path, missing):
    wheel = write_wheel(tmp_path / 'other.whl', {f'{PHOTOS[missing]}.xml': None})
    assert_refused_without_trace(tmp_path, wheel)


@pytest.mark.parametrize('ending', ['png', 'xml'])
def test_a_wheel_with_a_broken_member_is_refused_and_nothing_is_left(tmp_path, ending):
    wheel = write_wheel(tmp_path / 'other.whl', {f'{PHOTOS["road"]}.{ending}': b'broken'})
    assert_refused_without_trace(tmp_path, wheel)
