"""Windows of large images are images of the proposal file."""

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from mmsoco.datasets import ProposalDataset
from mmsoco.errors import UserError
from mmsoco.images.decoding import read_image
from mmsoco.images.lists import ImageList, write_list
from mmsoco.images.root import ImageRoot
from mmsoco.images.tiles import Tiling, split_name
from mmsoco.proposals.checks import check_images
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.grid import GridBoxes
from mmsoco.proposals.generators.selective_search import SearchParameters, selective_search
from mmsoco.proposals.recall import measure_recall
from mmsoco.proposals.search.folder import FAILURES, search_folder
from mmsoco.proposals.store import ProposalStore

TILING = Tiling(64, 0.1)


@pytest.fixture
def root(tmp_path, images):
    """A large TIFF in tiles, a large PNG, and one that is smaller than a tile."""
    folder = tmp_path / 'root'
    folder.mkdir()
    cells = [read_image(path) for path in sorted(images.rglob('*.*'))]
    cells = [cell[:60, :60] for cell in cells]
    large = np.concatenate([np.concatenate(cells[i : i + 3], axis=1) for i in (0, 3)])  # 180 x 120
    tifffile.imwrite(folder / 'a.tif', large, photometric='rgb', tile=(32, 32), compression='zlib')
    Image.fromarray(large[::-1]).save(folder / 'b.png')
    Image.fromarray(cells[6]).save(folder / 'c.png')
    return folder


def search(root, out, generator=GridBoxes(), **options):
    return search_folder(root, out, generator, tiling=TILING, shard_size=4, **options)


def test_every_tile_has_the_boxes_of_its_pixels(root, tmp_path):
    parameters = SearchParameters(min_size=20)
    result = search(root, tmp_path / 'raw', parameters)
    names = [name for image in ('a.tif', 'b.png') for name in TILING.names(image, 180, 120)]
    assert result.total == result.searched == 2 * 4 * 2 + 1
    rows = [row for path in sorted((tmp_path / 'raw').glob('*.arrow')) for row in ProposalStore.open(path)]
    assert [row.file_name for row in rows] == [*names, 'c.png']
    for row in rows:
        image, window = split_name(row.file_name)
        pixels = read_image(root / image)
        if window is not None:
            x, y, width, height = window
            assert (row.width, row.height) == (width, height) == (64, 64)
            pixels = pixels[y : y + height, x : x + width]
        np.testing.assert_array_equal(row.boxes, selective_search(pixels, parameters))


def test_a_search_goes_on_and_its_tiles_are_others_than_other_tiles(root, tmp_path):
    search(root, tmp_path / 'raw')
    files = {path.name: path.read_bytes() for path in (tmp_path / 'raw').glob('*.arrow')}
    (tmp_path / 'raw' / min(files)).unlink()
    search(root, tmp_path / 'raw')
    assert {path.name: path.read_bytes() for path in (tmp_path / 'raw').glob('*.arrow')} == files
    for tiling in (None, Tiling(64, 0.11), Tiling(200)):
        with pytest.raises(UserError, match='another'):
            search_folder(root, tmp_path / 'raw', GridBoxes(), tiling=tiling, shard_size=4)


def test_broken_images_fail_by_their_names(root, tmp_path):
    (root / 'd.png').write_text('broken')
    content = (root / 'b.png').read_bytes()
    (root / 'b.png').write_bytes(content[:-2000])  # its header is whole
    result = search(root, tmp_path / 'raw')
    assert result.failures['d.png'] == 'not an image but text'
    assert sum(name.startswith('b.png#xywh=') for name in result.failures) == 8
    with (tmp_path / 'raw' / FAILURES).open() as file:
        assert len(list(csv.reader(file))) == 1 + 9


@pytest.fixture
def proposals(root, tmp_path):
    search(root, tmp_path / 'raw')
    filter_folder(tmp_path / 'raw', tmp_path / 'proposals.arrow', ProposalFilter(min_side=8))
    return tmp_path / 'proposals.arrow'


def test_training_sees_the_pixels_of_the_tile(root, proposals):
    dataset = ProposalDataset(proposals, [dict(type='LoadImage')])
    for index, row in enumerate(ProposalStore.open(proposals)):
        sample = dataset[0, index]
        np.testing.assert_array_equal(sample['img'], ImageRoot.of(dataset.store.header, root).read(row.file_name))
        assert sample['img'].shape == (row.height, row.width, 3)
    assert dataset.metainfo['tiles'] == {'side': 64, 'overlap': 0.1}


def test_all_tiles_of_an_image_are_held_out_together(proposals, tmp_path):
    write_list(tmp_path / 'held.txt', ImageList('held', ['a.tif']))
    parts = [
        ProposalDataset(proposals, [], held_out=str(tmp_path / 'held.txt'), part=part)
        for part in ('held_out', 'training')
    ]
    names = [[part.store[i].file_name for i in part.rows] for part in parts]
    assert len(names[0]) == 8 and all(name.startswith('a.tif#') for name in names[0])
    assert len(names[1]) == 9 and not any(name.startswith('a.tif#') for name in names[1])


@pytest.mark.parametrize(('every', 'held'), [(2, {'a.tif', 'c.png'}), (3, {'a.tif'}), (20, {'a.tif'})])
def test_every_nth_image_is_held_out_with_all_of_its_tiles(proposals, every, held):
    parts = [ProposalDataset(proposals, [], held_out=every, part=part) for part in ('held_out', 'training')]
    images = [[split_name(part.store[i].file_name)[0] for i in part.rows] for part in parts]
    assert set(images[0]) == held and not held & set(images[1])
    assert len(images[0]) + len(images[1]) == 8 + 8 + 1


def test_a_single_image_leaves_no_tile_to_train_on(root, proposals, tmp_path):
    filter_folder(tmp_path / 'raw', tmp_path / 'a.arrow', ProposalFilter(), ImageList('a', ['a.tif']))
    with pytest.raises(UserError, match=r'held_out=20 leaves none of the 8 tiles of .* to train on'):
        ProposalDataset(tmp_path / 'a.arrow', [], held_out=20)


def test_a_list_for_the_filter_names_images(root, proposals, tmp_path):
    out = tmp_path / 'some.arrow'
    filter_folder(tmp_path / 'raw', out, ProposalFilter(), ImageList('some', ['b.png', 'c.png']))
    assert {split_name(row.file_name)[0] for row in ProposalStore.open(out)} == {'b.png', 'c.png'}
    with pytest.raises(UserError, match=r'lacks 1 of the 2 images of the list, first gone\.png'):
        filter_folder(tmp_path / 'raw', out, ProposalFilter(), ImageList('some', ['b.png', 'gone.png']))


def test_a_list_may_name_an_image_of_which_no_tile_could_be_read(root, tmp_path):
    content = (root / 'b.png').read_bytes()
    (root / 'b.png').write_bytes(content[:-2000])  # its header is whole
    search(root, tmp_path / 'raw')
    out = tmp_path / 'some.arrow'
    filter_folder(tmp_path / 'raw', out, ProposalFilter(), ImageList('some', ['b.png', 'c.png']))
    assert list(ProposalStore.open(out).names()) == ['c.png']


def test_an_image_of_another_size_is_refused(root, proposals):
    check_images(ProposalStore.open(proposals), root)
    Image.fromarray(read_image(root / 'b.png')).resize((270, 180)).save(root / 'b.png')
    with pytest.raises(UserError, match=r'b\.png#xywh=.* but in .* it is 270x180'):
        check_images(ProposalStore.open(proposals), root)


def test_a_link_to_a_tiled_image_outside_is_refused(root, proposals, tmp_path):
    (root / 'b.png').rename(tmp_path / 'elsewhere.png')
    (root / 'b.png').symlink_to(tmp_path / 'elsewhere.png')
    with pytest.raises(UserError, match=r'names b\.png, which links'):
        check_images(ProposalStore.open(proposals), root)


def test_recall_counts_objects_where_they_lie_in_the_image(root, proposals, tmp_path):
    """The second tile's first box, in pixels of the image."""
    row = ProposalStore.open(proposals)[1]
    x, y, *_ = split_name(row.file_name)[1]
    assert x > 0
    x1, y1, x2, y2 = row.boxes[0].tolist()
    labels = {
        'images': [{'id': 1, 'file_name': 'a.tif', 'width': 180, 'height': 120}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [x + x1, y + y1, x2 - x1, y2 - y1]}],
        'categories': [{'id': 1, 'name': 'thing'}],
    }
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    recall = measure_recall(proposals, tmp_path / 'labels.json')
    assert recall.images == 1 and recall.overlaps.tolist() == [1.0]
    labels['images'][0]['width'] = 181
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    with pytest.raises(UserError, match='180x120'):
        measure_recall(proposals, tmp_path / 'labels.json')


def test_a_file_that_is_called_like_a_tile_is_refused(root, tmp_path):
    (root / 'c.png').rename(root / 'c.png#xywh=1,2,3,4')
    (root / 'c.png#xywh=1,2,3,4').rename(root / 'e.png#xywh=1,2,3,4')
    names = ['a.tif', 'e.png#xywh=1,2,3,4']
    with pytest.raises(UserError, match='as a tile would be; rename it'):
        search_folder(root, tmp_path / 'raw', GridBoxes(), tiling=TILING, image_list=ImageList('all', names))
