"""Boxes of tiles are those of their images for other tools, and for labels."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from mmsoco.errors import UserError
from mmsoco.images.tiles import Tiling
from mmsoco.proposals.convert import export_boxes, import_boxes
from mmsoco.proposals.recall import measure_recall
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals

TILING = Tiling(64, 0.1)
#: Of 100x50: what is in both is 36..64.
LEFT, RIGHT = 'a.png#xywh=0,0,64,50', 'a.png#xywh=36,0,64,50'
TILES = {LEFT: [[1, 2, 10, 20], [40, 5, 60, 30]], RIGHT: [[4, 5, 24, 30], [50, 0, 64, 50]]}
WHOLE = [[1, 2, 10, 20], [40, 5, 60, 30], [86, 0, 100, 50]]


def write(tmp_path, *tiles):
    """A proposal file of tiles of a.png, and of an image that is smaller than one; neither is there yet."""
    rows = [ProposalRow(tile, 64, 50, np.array(TILES[tile])) for tile in tiles]
    rows.append(ProposalRow('b.png', 30, 20, np.array([[3, 3, 9, 9], [0, 0, 5, 5]])))
    (tmp_path / 'root').mkdir(exist_ok=True)
    header = dict(root=str(tmp_path / 'root'), tiles=TILING.describe())
    write_proposals(tmp_path / 'p.arrow', rows, header)
    return tmp_path / 'p.arrow'


def put_images(tmp_path, size=(100, 50)):
    Image.new('RGB', size).save(tmp_path / 'root/a.png')
    Image.new('RGB', (30, 20)).save(tmp_path / 'root/b.png')


def test_the_windows_are_those_of_the_tiling():
    assert TILING.names('a.png', 100, 50) == [LEFT, RIGHT]


def test_exported_boxes_are_those_of_the_image(tmp_path):
    assert export_boxes(write(tmp_path, LEFT, RIGHT), tmp_path / 'b.csv') == 2
    with (tmp_path / 'b.csv').open() as file:
        rows = [[row[0], *map(int, row[1:])] for row in list(csv.reader(file))[1:]]
    assert rows[:3] == [['a.png', 100, 50, *box] for box in WHOLE]
    assert rows[3:] == [['b.png', 30, 20, 3, 3, 9, 9], ['b.png', 30, 20, 0, 0, 5, 5]]


@pytest.mark.parametrize('name', ['b.csv', 'b.json', 'b.pkl'])
def test_what_is_exported_is_of_images_that_there_are(tmp_path, name):
    proposals = write(tmp_path, LEFT, RIGHT)
    put_images(tmp_path)
    export_boxes(proposals, tmp_path / name, 'coco' if name == 'b.json' else None)
    import_boxes(tmp_path / name, tmp_path / 'back.arrow', tmp_path / 'root')
    rows = list(ProposalStore.open(tmp_path / 'back.arrow'))
    assert [row[:3] for row in rows] == [('a.png', 100, 50), ('b.png', 30, 20)]
    assert rows[0].boxes.tolist() == WHOLE


@pytest.mark.parametrize(
    ('size', 'written'),
    [
        ((100, 50), [100, 50]),  # of the file, though its right edge has no tile
        ((101, 51), [64, 50]),  # an image of other tiles: it was changed
    ],
)
def test_exported_sizes_are_those_of_the_files(tmp_path, size, written):
    proposals = write(tmp_path, LEFT)
    put_images(tmp_path, size)
    export_boxes(proposals, tmp_path / 'b.json', 'coco')
    image = json.loads((tmp_path / 'b.json').read_text())['images'][0]
    assert [image['width'], image['height']] == written


@pytest.mark.parametrize(
    ('tiles', 'size', 'overlaps'),
    [
        ([LEFT, RIGHT], (100, 50), [1, 1]),
        ([LEFT], (100, 50), [1, 0]),  # a tile at the edge could not be read
        ([RIGHT], (100, 50), [0, 1]),
        ([LEFT, RIGHT], (101, 50), None),
        ([LEFT, RIGHT], (99, 50), None),
        ([LEFT], (100, 51), None),
        ([RIGHT], (64, 50), None),
    ],
)
def test_labels_are_of_the_image_whichever_of_its_tiles_there_are(tmp_path, tiles, size, overlaps):
    proposals = write(tmp_path, *tiles)
    boxes = [[1, 2, 9, 18], [86, 0, 13, 50] if size[0] == 99 else [86, 0, 14, 50]]
    labels = {
        'images': [{'id': 1, 'file_name': 'a.png', 'width': size[0], 'height': size[1]}],
        'annotations': [{'id': i, 'image_id': 1, 'category_id': 1, 'bbox': box} for i, box in enumerate(boxes)],
        'categories': [{'id': 1, 'name': 'thing'}],
    }
    (tmp_path / 'l.json').write_text(json.dumps(labels))
    if overlaps is None:
        with pytest.raises(UserError, match=rf'a\.png has tiles up to .*, but {size[0]}x{size[1]} in'):
            measure_recall(proposals, tmp_path / 'l.json')
    else:
        recall = measure_recall(proposals, tmp_path / 'l.json')
        assert recall.overlaps.tolist() == overlaps
        assert recall.proposals == (3 if len(tiles) == 2 else 2)
