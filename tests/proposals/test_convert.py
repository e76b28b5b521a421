import csv
import json
import pickle
import shutil

import cv2
import numpy as np
import pytest
from mmengine.structures import InstanceData

from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList
from mmsoco.proposals.convert import Choice, export_boxes, import_boxes
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals

#: What the files of these tests hold, as xyxy.
BOXES = {
    'n01/n01_1.png': [[0, 0, 30, 20], [5, 6, 40, 30]],
    'n01/n01_2.png': [[1, 2, 3, 4]],
    'n02/n02_3.png': [],
}
SIZE = (40, 30)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Three images of 40x30 px in two folders, as ImageNet has them."""
    root = tmp_path_factory.mktemp('train')
    for name in BOXES:
        (root / name).parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(root / name), np.zeros((30, 40, 3), np.uint8))
    return root


@pytest.fixture
def store(root, tmp_path):
    rows = [ProposalRow(name, *SIZE, np.array(boxes, int).reshape(-1, 4)) for name, boxes in BOXES.items()]
    write_proposals(tmp_path / 'ours.arrow', rows, dict(root=str(root)))
    return tmp_path / 'ours.arrow'


def xywh(box):
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def contents(path):
    return {row.file_name: (row.width, row.height, row.boxes.tolist()) for row in ProposalStore.open(path).verify()}


EVERYTHING = {name: (*SIZE, boxes) for name, boxes in BOXES.items()}


@pytest.mark.parametrize(
    ('name', 'kind'), [('b.json', 'released'), ('b.json', 'coco'), ('b.pkl', 'mmdet'), ('b.csv', 'csv')]
)
def test_there_and_back(store, root, tmp_path, name, kind):
    assert export_boxes(store, tmp_path / name, kind) == 3
    done = import_boxes(tmp_path / name, tmp_path / 'back.arrow', root)
    assert (done.images, done.boxes, done.empty, done.without, done.failures) == (3, 3, 1, 0, {})
    assert contents(tmp_path / 'back.arrow') == EVERYTHING
    header = ProposalStore.open(tmp_path / 'back.arrow').header
    assert header['generator']['name'] == kind and header['generator']['file'] == name
    assert header['root'] == str(root)


def test_coco_results_there_and_back(store, root, tmp_path):
    export_boxes(store, tmp_path / 'images.json', 'coco')
    export_boxes(store, tmp_path / 'results.json', 'coco', tmp_path / 'images.json')
    results = json.loads((tmp_path / 'results.json').read_text())
    assert [r['bbox'] for r in results] == [[0, 0, 30, 20], [5, 6, 35, 24], [1, 2, 2, 2]]
    with pytest.raises(UserError, match='name the file with their images by --annotations'):
        import_boxes(tmp_path / 'results.json', tmp_path / 'x.arrow', root)
    import_boxes(tmp_path / 'results.json', tmp_path / 'back.arrow', root, annotations=tmp_path / 'images.json')
    assert contents(tmp_path / 'back.arrow') == EVERYTHING


def test_what_other_tools_get(store, root, tmp_path):
    export_boxes(store, tmp_path / 'b.json', 'released')
    released = json.loads((tmp_path / 'b.json').read_text())
    assert released == {'n01_1': [[0, 0, 30, 20], [5, 6, 35, 24]], 'n01_2': [[1, 2, 2, 2]], 'n02_3': []}
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
        export_boxes(store, tmp_path / 'x.json', 'coco', tmp_path / 'images.json')
    with pytest.raises(UserError, match=r'format of .*x\.json is not clear; name one by --format'):
        export_boxes(store, tmp_path / 'x.json')


def test_mmdet_reads_what_we_write(store, root, tmp_path):
    from mmdet.datasets import CocoDataset

    export_boxes(store, tmp_path / 'b.pkl')
    export_boxes(store, tmp_path / 'images.json', 'coco')
    dataset = CocoDataset(
        ann_file=str(tmp_path / 'images.json'),
        data_prefix=dict(img=str(root)),
        proposal_file=str(tmp_path / 'b.pkl'),
        metainfo=dict(classes=('proposal',)),
        test_mode=True,
        pipeline=[],
    )
    found = {dataset[i]['img_path']: dataset[i]['proposals']['bboxes'].tolist() for i in range(3)}
    assert found == {str(root / name): boxes for name, boxes in BOXES.items()}


def test_what_mmdet_writes(root, tmp_path):
    """DumpProposals pickles a dict of InstanceData."""
    proposals = {}
    for name, boxes in BOXES.items():
        entry = InstanceData()
        entry.bboxes = np.array(boxes, np.float32).reshape(-1, 4)
        entry.scores = np.linspace(0.9, 0.1, len(boxes), dtype=np.float32)
        proposals[name] = entry
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps(proposals))
    import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow') == EVERYTHING
    import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root, choice=Choice(min_score=0.5))
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 30, 20]]


class Malicious:
    def __reduce__(self):
        return open, ('/tmp/mmsoco-was-here', 'w')


def test_a_pickle_runs_no_code(root, tmp_path):
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({'n01/n01_1.png': Malicious()}))
    with pytest.raises(UserError, match=r'is not loaded: it holds \w+\.open, which is not read, as it could run code'):
        import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'nothing', 'is not a pickle'),
        (pickle.dumps([np.zeros((1, 4))]), 'does not say which image its boxes are of'),
        (pickle.dumps({'n01/n01_1.png': np.zeros((1, 4))}), 'has no bboxes'),
        (pickle.dumps({'n01/n01_1.png': dict(bboxes=np.ones((2, 4)), scores=np.ones(3))}), '3 scores for 2 boxes'),
        (pickle.dumps({'n01/n01_1.png': dict(bboxes=np.ones((2, 3)))}), 'not rows of 4 numbers'),
    ],
)
def test_pickles_that_hold_something_else(root, tmp_path, content, words):
    (tmp_path / 'p.pkl').write_bytes(content)
    with pytest.raises(UserError, match=words):
        import_boxes(tmp_path / 'p.pkl', tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


def released(tmp_path, **changes):
    content = {name.split('/')[1][:-4]: [xywh(box) for box in boxes] for name, boxes in BOXES.items()}
    path = tmp_path / 'released.json'
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_fractions_become_whole_pixels_without_duplicates(root, tmp_path):
    path = released(tmp_path, n01_1=[[0.4, 0.4, 29.7, 19.6], [0, 0, 30, 20], [39.9, 3, 0.1, 2], [7.5, 7.5, 0.2, 0.2]])
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
        ([[0, 0, 5, 5], [3, 3, 0, 5]], 'n01_1, box 2: .* has no area'),
        ([[5, 5, -2, 3]], 'n01_1, box 1: .* has no area'),
        ([[0, 0, float('nan'), 1]], 'n01_1, box 1: .* is not made of finite numbers'),
        ([[0, 0, 5]], 'n01_1: its boxes are not rows of 4 numbers'),
        ([[0, 0, 5, 'x']], 'n01_1: its boxes are not rows of 4 numbers'),
        ('x', 'n01_1: its boxes are not rows of 4 numbers'),
    ],
)
def test_the_first_bad_box_is_named_and_nothing_is_written(root, tmp_path, boxes, words):
    path = released(tmp_path, n01_1=boxes)
    with pytest.raises(UserError, match=words):
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


def test_files_without_boxes_and_boxes_in_parts_of_a_image_are_refused(root, tmp_path):
    path = released(tmp_path, n01_1=[], n01_2=[])
    with pytest.raises(UserError, match='has no box, or none that is chosen'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    path = released(tmp_path, n01_1=[[0.1, 0.2, 0.5, 0.5]], n01_2=[])
    with pytest.raises(UserError, match='has no coordinate above 1: they are parts of the images'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


def test_boxes_that_leave_their_image_can_be_cut(root, tmp_path):
    path = released(tmp_path, n01_1=[[-5, -5, 10, 10], [30, 20, 100, 100], [50, 50, 9, 9]])
    import_boxes(path, tmp_path / 'a.arrow', root, choice=Choice(clip=True))
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 5, 5], [30, 20, 40, 30]]
    # Half a pixel is rounding.
    import_boxes(released(tmp_path, n01_1=[[-0.5, 0, 40.9, 30.4]]), tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 40, 30]]


def test_scores_choose(root, tmp_path):
    path = released(tmp_path, n01_1=[[0, 0, 5, 5, 0.2], [1, 1, 5, 5, 0.9], [2, 2, 5, 5, 0.6]])
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
    path = released(tmp_path, n09_9=[[0, 0, 5, 5]])
    with pytest.raises(UserError, match=r'has boxes of n09_9, which is not in .*; give the folder that such'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    chosen = ImageList('two', ['n02/n02_3.png', 'n01/n01_2.png'])
    done = import_boxes(path, tmp_path / 'a.arrow', root, image_list=chosen)
    assert (done.images, done.without) == (2, 0)
    assert ProposalStore.open(tmp_path / 'a.arrow').header['list']['title'] == 'two'
    (tmp_path / 'released.json').write_text(json.dumps({'n01_2': [[1, 2, 2, 2]]}))
    done = import_boxes(path, tmp_path / 'a.arrow', root)
    assert (done.images, done.without) == (1, 2)
    with pytest.raises(UserError, match='is not a folder'):
        import_boxes(path, tmp_path / 'a.arrow', tmp_path / 'gone')


def test_names_that_a_format_cannot_tell_apart(root, store, tmp_path):
    copy = shutil.copytree(root, tmp_path / 'copy')
    shutil.copy(copy / 'n01/n01_1.png', copy / 'n02/n01_1.png')
    with pytest.raises(UserError, match=r'n01/n01_1\.png and n02/n01_1\.png, which this format cannot tell apart'):
        import_boxes(released(tmp_path), tmp_path / 'a.arrow', copy)
    rows = [*ProposalStore.open(store), ProposalRow('n02/n01_1.png', *SIZE, np.empty((0, 4), int))]
    write_proposals(tmp_path / 'twins.arrow', rows, dict(root=str(copy)))
    with pytest.raises(UserError, match='two images are called n01_1'):
        export_boxes(tmp_path / 'twins.arrow', tmp_path / 'b.json', 'released')
    assert not (tmp_path / 'b.json').exists()


def test_images_that_cannot_be_read_are_left_out(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / 'copy')
    (copy / 'n01/n01_2.png').write_text('broken')
    done = import_boxes(released(tmp_path), tmp_path / 'a.arrow', copy, jobs=2)
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


def coco(**changes):
    images = [dict(id=i, file_name=name, width=40, height=30) for i, name in enumerate(BOXES)]
    annotations = [
        dict(id=1, image_id=0, bbox=[0, 0, 30, 20]),
        dict(id=2, image_id=0, bbox=[0, 0, 9, 9], iscrowd=1),
        dict(id=3, image_id=1, bbox=[1, 2, 2, 2], segmentation=dict(counts='x', size=[30, 40])),
    ]
    return {**dict(images=images, annotations=annotations), **changes}


def test_crowds_are_no_instances(root, tmp_path):
    (tmp_path / 'c.json').write_text(json.dumps(coco()))
    import_boxes(tmp_path / 'c.json', tmp_path / 'a.arrow', root)
    boxes = {name: found for name, (_, _, found) in contents(tmp_path / 'a.arrow').items()}
    assert boxes == {'n01/n01_1.png': [[0, 0, 30, 20]], 'n01/n01_2.png': [[1, 2, 3, 4]], 'n02/n02_3.png': []}


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (
            coco(annotations=[dict(image_id=7, bbox=[0, 0, 1, 1])]),
            r'annotations\[0\]: its image_id is missing or',
        ),
        (coco(annotations=[dict(image_id=0)]), r'annotations\[0\]: its boxes are not rows of 4 numbers'),
        (coco(annotations=[dict(image_id=0, bbox=[])]), r'a bbox of n01/n01_1\.png is empty'),
        (coco(annotations=[dict(image_id=0, bbox=[0, 0, 50, 5])]), r'annotations\[0\]: .* leaves its image'),
        (coco(images=[dict(id=0, file_name='n01/n01_1.png')]), 'lacks file_name, width or height|missing or unknown'),
        (coco(images=None), 'its list of images is missing'),
        (coco(annotations=None), 'its annotations are not a list'),
        (coco(annotations=[dict(image_id=[0], bbox=[0, 0, 1, 1])]), r'annotations\[0\]: its image_id is missing or'),
        (
            coco(images=[dict(id=0, file_name='n01/n01_1.png', width=0, height=9)], annotations=[]),
            'cannot have a size of 0x9',
        ),
        ('text', 'is not like'),
    ],
)
def test_broken_coco_files(root, tmp_path, content, words):
    (tmp_path / 'c.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match=words):
        import_boxes(tmp_path / 'c.json', tmp_path / 'a.arrow', root)


@pytest.mark.parametrize(
    ('lines', 'words'),
    [
        ('name,x1\n', 'has no column file_name'),
        (
            'file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,5,5\nn01/n01_1.png,0,0,x,5\n',
            'line 3: x1, y1, x2, y2 are not all numbers',
        ),
        ('file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,5\n', 'line 2: x1, y1, x2, y2 are not all numbers'),
        ('file_name,x1,y1,x2,y2\nn01/n01_1.png,0,0,5,5\nn01/n01_2.png,9,9,5,5\n', 'line 3: the box .* has no area'),
        (
            'file_name,x1,y1,x2,y2,width,height\nn01/n01_1.png,0,0,5,5,40,30\nn01/n01_1.png,0,0,5,5,40,31\n',
            'line 3: width and height are not those of the lines before',
        ),
        ('file_name,x1,y1,x2,y2,width,height\nn01/n01_1.png,0,0,5,5,inf,30\n', 'line 2: width and height are not'),
        ('file_name,x1,y1,x2,y2,width\nn01/n01_1.png,0,0,5,5,40\n', 'line 2: width, height are not all numbers'),
        (
            'file_name,x1,y1,x2,y2,score\nn01/n01_1.png,0,0,5,5,\nn01/n01_1.png,0,0,5,6,0.5\n',
            '1 scores for 2 boxes',
        ),
    ],
)
def test_broken_csv_files(root, tmp_path, lines, words):
    (tmp_path / 'b.csv').write_text(lines)
    with pytest.raises(UserError, match=words):
        import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root)


def test_a_csv_of_a_spreadsheet(root, tmp_path):
    """A mark first, columns in another order, some more, scores, no sizes."""
    lines = '\ufeffx1,x2,y1,y2,score,file_name,note\n5,40,6,30,0.2,n01/n01_1.png,a\n0,30,0,20,0.8,n01/n01_1.png,\n'
    (tmp_path / 'b.csv').write_text(lines, 'utf-8')
    import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root, choice=Choice(top=1))
    assert contents(tmp_path / 'a.arrow') == {'n01/n01_1.png': (*SIZE, [[0, 0, 30, 20]])}


@pytest.mark.parametrize('name', ['gone.json', 'gone.csv', 'gone.pkl'])
def test_missing_files(root, tmp_path, name):
    with pytest.raises(UserError, match=f'{name.split(".")[0]}.* does not exist'):
        import_boxes(tmp_path / name, tmp_path / 'a.arrow', root)
    (tmp_path / 'bad.json').write_text('{')
    with pytest.raises(UserError, match='is not a JSON file'):
        import_boxes(tmp_path / 'bad.json', tmp_path / 'a.arrow', root)


def test_given_boxes_can_be_filtered(root, tmp_path):
    import_boxes(released(tmp_path), tmp_path / 'a.arrow', root)
    served = filter_folder(tmp_path / 'a.arrow', tmp_path / 'b.arrow', ProposalFilter(size=(0.5, 1.0), min_side=0))
    assert sum(served.values()) == 3
    assert contents(tmp_path / 'b.arrow')['n02/n02_3.png'] == (*SIZE, [[0, 0, 40, 30]])
    header = ProposalStore.open(tmp_path / 'b.arrow').header
    assert header['kind'] == 'filtered' and header['generator']['name'] == 'released'
