import csv
import json
import pickle
import shutil

import numpy as np
import pytest
from box_files import BOXES, EVERYTHING, SIZE, contents, official

from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList
from mmsoco.proposals.convert import Choice, export_boxes, import_boxes
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals


@pytest.mark.parametrize(
    ('name', 'kind'), [('b.json', 'official'), ('b.json', 'coco'), ('b.pkl', 'mmdet'), ('b.csv', 'csv')]
)
def test_there_and_back(store, root, tmp_path, name, kind):
    assert export_boxes(store, tmp_path / name, kind) == 3
    done = import_boxes(tmp_path / name, tmp_path / 'back.arrow', root)
    assert (done.images, done.boxes, done.empty, done.without, done.failures) == (3, 3, 1, 0, {})
    assert contents(tmp_path / 'back.arrow') == EVERYTHING
    header = ProposalStore.open(tmp_path / 'back.arrow').header
    assert header['generator']['name'] == kind and header['generator']['file'] == name
    assert header['root'] == str(root)


def test_what_other_tools_get(store, root, tmp_path):
    export_boxes(store, tmp_path / 'b.json', 'official')
    official = json.loads((tmp_path / 'b.json').read_text())
    assert official == {'n01_1': [[0, 0, 30, 20], [5, 6, 35, 24]], 'n01_2': [[1, 2, 2, 2]], 'n02_3': []}
    export_boxes(store, tmp_path / 'b.pkl')
    mmdet = pickle.loads((tmp_path / 'b.pkl').read_bytes())
    assert list(mmdet) == list(BOXES)
    assert mmdet['n01/n01_1.png']['bboxes'].tolist() == BOXES['n01/n01_1.png']
    assert mmdet['n01/n01_1.png']['scores'].tolist() == [1, 1] and mmdet['n02/n02_3.png']['bboxes'].shape == (0, 4)
    export_boxes(store, tmp_path / 'b.csv')
    with (tmp_path / 'b.csv').open(newline='') as file:
        lines = list(csv.reader(file))
    assert lines[0] == ['file_name', 'width', 'height', 'x1', 'y1', 'x2', 'y2']
    assert lines[2] == ['n01/n01_1.png', '40', '30', '5', '6', '40', '30']
    export_boxes(store, tmp_path / 'c.json', 'coco')
    coco = json.loads((tmp_path / 'c.json').read_text())
    assert coco['images'][1] == dict(id=2, file_name='n01/n01_2.png', width=40, height=30)
    assert coco['annotations'][1]['area'] == 35 * 24 and coco['annotations'][2]['image_id'] == 2
    (tmp_path / 'images.json').write_text('[]')
    with pytest.raises(UserError, match='its list of images is missing'):
        export_boxes(store, tmp_path / 'x.json', 'coco', annotations=tmp_path / 'images.json')
    with pytest.raises(UserError, match=r'format of .*x\.json is not clear; name one by --format'):
        export_boxes(store, tmp_path / 'x.json')


def test_fractions_become_whole_pixels_without_duplicates(root, tmp_path):
    path = official(tmp_path, n01_1=[[0.4, 0.4, 29.7, 19.6], [0, 0, 30, 20], [39.9, 3, 0.1, 2], [7.5, 7.5, 0.2, 0.2]])
    import_boxes(path, tmp_path / 'a.arrow', root)
    boxes = contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2]
    # What rounds to nothing keeps a pixel.
    assert boxes == [[0, 0, 30, 20], [8, 8, 9, 9], [39, 3, 40, 5]]


@pytest.mark.parametrize(
    ('boxes', 'words'),
    [
        (
            [[0, 0, 5, 5], [30, 20, 11, 10]],
            r'n01_1, box 2: the box \[30.0, 20.0, 41.0, 30.0\] .*leaves its image of 40x30',
        ),
        ([[0, 0, float('nan'), 1]], 'n01_1, box 1: .* is not made of finite numbers'),
        ([[0, 0, 5]], 'n01_1: its boxes are not rows of 4 numbers'),
        ([[0, 0, 5, 'x']], 'n01_1: its boxes are not rows of 4 numbers'),
        ('x', 'n01_1: its boxes are not rows of 4 numbers'),
    ],
)
def test_the_first_bad_box_is_named_and_nothing_is_written(root, tmp_path, boxes, words):
    path = official(tmp_path, n01_1=boxes)
    with pytest.raises(UserError, match=words):
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


def test_files_without_boxes_and_boxes_in_parts_of_a_image_are_refused(root, tmp_path):
    path = official(tmp_path, n01_1=[], n01_2=[])
    with pytest.raises(UserError, match='has no box, or none that is chosen'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    path = official(tmp_path, n01_1=[[0.1, 0.2, 0.5, 0.5]], n01_2=[])
    with pytest.raises(UserError, match='has no coordinate above 1: they are parts of the images'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


def test_boxes_that_leave_their_image_can_be_cut(root, tmp_path):
    path = official(tmp_path, n01_1=[[-5, -5, 10, 10], [30, 20, 100, 100], [50, 50, 9, 9]])
    import_boxes(path, tmp_path / 'a.arrow', root, choice=Choice(clip=True))
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 5, 5], [30, 20, 40, 30]]
    # Half a pixel is rounding.
    import_boxes(official(tmp_path, n01_1=[[-0.5, 0, 40.9, 30.4]]), tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 40, 30]]


def test_scores_choose(root, tmp_path):
    path = official(tmp_path, n01_1=[[0, 0, 5, 5, 0.2], [1, 1, 5, 5, 0.9], [2, 2, 5, 5, 0.6]])
    with pytest.raises(UserError, match=r'has no scores for n01/n01_2\.png; leave --min-score out'):
        import_boxes(path, tmp_path / 'a.arrow', root, choice=Choice(min_score=0.5))
    only = ImageList('one', ['n01/n01_1.png'])
    for choice, kept in (
        (Choice(min_score=0.5), [[1, 1, 6, 6], [2, 2, 7, 7]]),
        (Choice(top=1), [[1, 1, 6, 6]]),
        (Choice(), [[0, 0, 5, 5], [1, 1, 6, 6], [2, 2, 7, 7]]),
    ):
        import_boxes(path, tmp_path / 'a.arrow', root, image_list=only, choice=choice)
        assert contents(tmp_path / 'a.arrow') == {'n01/n01_1.png': (*SIZE, kept)}


def test_images_and_entries_that_do_not_match(root, tmp_path):
    path = official(tmp_path, n09_9=[[0, 0, 5, 5]])
    with pytest.raises(UserError, match=r'has boxes of n09_9, which is not in .*; give the folder that such'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    chosen = ImageList('two', ['n02/n02_3.png', 'n01/n01_2.png'])
    done = import_boxes(path, tmp_path / 'a.arrow', root, image_list=chosen)
    assert (done.images, done.without) == (2, 0)
    assert ProposalStore.open(tmp_path / 'a.arrow').header['list']['title'] == 'two'
    (tmp_path / 'official.json').write_text(json.dumps({'n01_2': [[1, 2, 2, 2]]}))
    done = import_boxes(path, tmp_path / 'a.arrow', root)
    assert (done.images, done.without) == (1, 2)
    with pytest.raises(UserError, match='is not a folder'):
        import_boxes(path, tmp_path / 'a.arrow', tmp_path / 'gone')


def test_names_that_a_format_cannot_tell_apart(root, store, tmp_path):
    copy = shutil.copytree(root, tmp_path / 'copy')
    shutil.copy(copy / 'n01/n01_1.png', copy / 'n02/n01_1.png')
    with pytest.raises(UserError, match=r'n01/n01_1\.png and n02/n01_1\.png, and .n01_1. may be either'):
        import_boxes(official(tmp_path), tmp_path / 'a.arrow', copy)
    rows = [*ProposalStore.open(store), ProposalRow('n02/n01_1.png', *SIZE, np.empty((0, 4), int))]
    write_proposals(tmp_path / 'twins.arrow', rows, dict(root=str(copy)))
    with pytest.raises(UserError, match='two images are called n01_1'):
        export_boxes(tmp_path / 'twins.arrow', tmp_path / 'b.json', 'official')
    assert not (tmp_path / 'b.json').exists()


def test_images_that_cannot_be_read_are_left_out(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / 'copy')
    (copy / 'n01/n01_2.png').write_text('broken')
    done = import_boxes(official(tmp_path), tmp_path / 'a.arrow', copy, jobs=2)
    assert done.images == 2 and list(done.failures) == ['n01/n01_2.png']
    header, failures, _ = read_raw(tmp_path / 'a.arrow')
    assert header['failures'] == 1 and failures == done.failures
    # So a list of all images does not miss it.
    everything = ImageList('all', list(BOXES))
    assert sum(filter_folder(tmp_path / 'a.arrow', tmp_path / 'b.arrow', ProposalFilter(), everything).values()) == 2


def test_sizes_of_a_file_are_compared_with_the_images(store, root, tmp_path):
    export_boxes(store, tmp_path / 'c.json', 'coco')
    content = json.loads((tmp_path / 'c.json').read_text())
    content['images'][1]['width'] = 80
    (tmp_path / 'c.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'boxes for n01/n01_2\.png of 80x30, but in .* it is 40x30'):
        import_boxes(tmp_path / 'c.json', tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


@pytest.mark.parametrize('name', ['gone.json', 'gone.csv', 'gone.pkl'])
def test_missing_files(root, tmp_path, name):
    with pytest.raises(UserError, match=f'{name.split(".")[0]}.* does not exist'):
        import_boxes(tmp_path / name, tmp_path / 'a.arrow', root)
    (tmp_path / 'bad.json').write_text('{')
    with pytest.raises(UserError, match='is not a JSON file'):
        import_boxes(tmp_path / 'bad.json', tmp_path / 'a.arrow', root)


def test_given_boxes_can_be_filtered(root, tmp_path):
    import_boxes(official(tmp_path), tmp_path / 'a.arrow', root)
    served = filter_folder(tmp_path / 'a.arrow', tmp_path / 'b.arrow', ProposalFilter(size=(0.5, 1.0), min_side=0))
    assert sum(served.values()) == 3
    assert contents(tmp_path / 'b.arrow')['n02/n02_3.png'] == (*SIZE, [[0, 0, 40, 30]])
    header = ProposalStore.open(tmp_path / 'b.arrow').header
    assert header['kind'] == 'filtered' and header['generator']['name'] == 'official'
