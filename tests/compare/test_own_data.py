"""Labelled images of one's own: any layout, what their labels lack, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import METRICS
from running import ROOT

from mmsoco.compare.arms import config_of_arm
from mmsoco.compare.checking import build_dataset, loaded_share
from mmsoco.compare.object_sizes import describe_sizes
from mmsoco.compare.own_data import look_through, put
from mmsoco.compare.plan import Comparison, Init
from mmsoco.errors import UserError


def whole(data, part):
    return json.loads((data / f'{part}.json').read_text())


class Own:
    """A changed copy of the data: labels of each part, one folder of images."""

    def __init__(self, data, folder):
        self.folder, self.images = folder, folder / 'all images'
        self.labels = {part: whole(data, part) for part in ('train', 'val')}
        for part, labels in self.labels.items():
            shutil.copytree(data / part, self.images / f'{part} 1')
            for image in labels['images']:
                image['file_name'] = f'{part} 1/{image["file_name"]}'

    def look(self, out='labels', elsewhere=None):
        for part, labels in self.labels.items():
            (self.folder / f'{part}.json').write_text(json.dumps(labels))
        arguments = ((self.folder / f'{part}.json', self.images) for part in ('train', 'val'))
        return look_through(*arguments, self.folder / out, elsewhere)


@pytest.fixture
def own(data, tmp_path):
    return Own(data, tmp_path)


def rename(labels, ids, reverse=False):
    """Other ids, other names."""
    for category in labels['categories']:
        category.update(id=ids[category['id']], name=f'my {category["name"]}')
    for annotation in labels['annotations']:
        annotation['category_id'] = ids[annotation['category_id']]
    if reverse:
        labels['categories'].reverse()


def test_sound_labels_are_read_where_they_are(own, tmp_path):
    found = own.look()
    assert (found.train, found.val) == (str(tmp_path / 'train.json'), str(tmp_path / 'val.json'))
    assert found.classes == ('square', 'bar') and not (tmp_path / 'labels').exists()
    assert found.notes == (
        'train: 12 images, 24 boxes: square 12, bar 12',
        'val: 4 images, 8 boxes: square 4, bar 4',
    )
    saved = Comparison('x.py', (Init('scratch'), Init('other', __file__)), tmp_path, own=found)
    assert Comparison.load(saved.save()) == saved


def test_true_boxes_have_full_marks_whatever_the_labels_lack(own, in_iterations):
    """Other ids and orders in the two files, nothing but boxes: classes and metric still mean the same."""
    rename(own.labels['train'], {0: 12, 1: 7}, reverse=True)
    rename(own.labels['val'], {0: 3, 1: 30}, reverse=True)
    for labels in own.labels.values():
        for image in labels['images']:
            del image['width'], image['height']
        for annotation in labels['annotations']:
            annotation.update(id=annotation['id'] - 1, area=0)
            del annotation['iscrowd']
        first = labels['annotations'][0]
        labels['annotations'] += [{**first, 'id': 999, 'bbox': [5, 5, 0, 9]}, {**first, 'id': 1000, 'category_id': 99}]
    before = json.dumps(own.labels)
    found = own.look()
    assert json.dumps(own.labels) == before
    assert found.classes == ('my bar', 'my square')  # 7, 12
    assert 'val: 2 annotations without width, height or a listed category are left out' in found.notes
    completed = json.loads(Path(found.val).read_text())
    assert [one['id'] for one in completed['annotations']] == list(range(1, 9))
    assert {(image['width'], image['height']) for image in completed['images']} == {(64, 64)}

    cfg = Config.fromfile(in_iterations)
    put(cfg, found)
    trained, dataset = (build_dataset(cfg, f'{part}_dataloader') for part in ('train', 'val'))
    assert len(trained) == 12 and len(dataset) == 4
    assert trained.metainfo['classes'] == dataset.metainfo['classes'] == found.classes
    for each in (trained, dataset):  # squares are 16 x 16
        for instance in each.get_data_info(1)['instances']:
            _, top, _, bottom = instance['bbox']
            assert found.classes[instance['bbox_label']] == ('my square' if bottom - top == 16 else 'my bar')
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = dataset.metainfo
    for i in range(4):
        info = dataset.get_data_info(i)
        boxes = torch.tensor([instance['bbox'] for instance in info['instances']])
        labels = torch.tensor([instance['bbox_label'] for instance in info['instances']])
        predicted = dict(bboxes=boxes, labels=labels, scores=torch.full((len(boxes),), 0.9))
        metric.process({}, [dict(img_id=info['img_id'], ori_shape=(64, 64), pred_instances=predicted)])
    assert metric.evaluate(size=4)['coco/bbox_mAP'] == 1.0


def test_a_rehearsal_writes_elsewhere(own, tmp_path):
    own.labels['train']['annotations'][0]['area'] = None
    elsewhere = tmp_path / 'elsewhere'
    found = own.look(elsewhere=elsewhere)
    assert Path(found.train).parent == elsewhere and not (tmp_path / 'labels').exists()
    written = own.look().train
    assert Path(written).parent == tmp_path / 'labels' and Path(written).name == Path(found.train).name
    # Then it is the same comparison.
    assert own.look(elsewhere=tmp_path / 'third').train == written and not (tmp_path / 'third').exists()


def test_labels_in_use_are_not_replaced(own):
    """Those of a comparison that another one, of other labels, is told to share its folder with."""
    own.labels['train']['annotations'][0]['area'] = None
    first = own.look().train
    text = Path(first).read_text()
    own.labels['train']['annotations'].pop()
    second = own.look().train
    assert second != first and Path(first).read_text() == text != Path(second).read_text()


def test_annotations_of_images_that_are_not_listed(own):
    own.labels['val']['annotations'][1]['image_id'] = 99
    assert 'val: 1 annotations are of images that it does not list, and count for nothing' in own.look().notes


def test_what_is_refused(own, data, tmp_path):
    def refuses(words, change, part='train'):
        kept = json.dumps(own.labels)
        change(own.labels[part])
        with pytest.raises(UserError) as raised:
            own.look()
        assert words in str(raised.value) and '\n' not in str(raised.value)
        own.labels = json.loads(kept)

    refuses('should hold the lists', lambda labels: labels.pop('annotations'))
    refuses('has no images', lambda labels: labels['images'].clear())
    refuses('has no categories', lambda labels: labels['categories'].clear())
    refuses('none of the 0 annotations', lambda labels: labels['annotations'].clear(), 'val')
    refuses('a name of its own', lambda labels: labels['categories'][1].update(name='square'))
    refuses("has the category 'bar'", lambda labels: labels['categories'][1].update(name='other'), 'val')
    refuses('an id of its own', lambda labels: labels['categories'][1].update(id=labels['categories'][0]['id']))
    for id_ in ('1', [1], None):
        refuses(f'the first one has the category_id {id_!r}, its categories have 0, 1',
                lambda labels, id_=id_: [one.update(category_id=id_) for one in labels['annotations']])  # fmt: skip
    refuses('has no bbox of x, y', lambda labels: labels['annotations'][3].update(bbox=[0, 0, float('nan'), 5]))
    refuses('has no bbox of x, y', lambda labels: labels['annotations'][3].pop('bbox'))
    refuses('an entry of its images has no file_name', lambda labels: labels['images'][0].pop('file_name'))
    gone = str(tmp_path / 'all images/gone.png')
    refuses(f'1 of 12 images of {tmp_path}/train.json are not there, first {gone}',
            lambda labels: labels['images'][2].update(file_name='gone.png'))  # fmt: skip
    refuses('of at least 1 px', lambda labels: [one.update(iscrowd=1) for one in labels['annotations']])
    refuses('of at least 1 px', lambda labels: [one.update(bbox=[0.1, 0.1, 0.5, 0.5]) for one in labels['annotations']])
    refuses('of 4 images', lambda labels: labels['images'][0].update(file_name='train 1/../train 1/3.png'), 'val')

    def bare(labels):
        del labels['images'][0]['width']
        (own.images / 'train 1/0.png').write_text('no image')

    refuses('does not say how large train 1/0.png is', bare)
    train = (data / 'train.json', data / 'train')
    with pytest.raises(UserError, match='are both'):
        look_through(train, train, tmp_path)
    with pytest.raises(UserError, match='is no folder'):
        look_through((data / 'train.json', data / 'nowhere'), (data / 'val.json', data / 'val'), tmp_path)
    with pytest.raises(UserError, match='does not exist'):
        look_through((data / 'no.json', data / 'train'), (data / 'val.json', data / 'val'), tmp_path)
    assert not (tmp_path / 'labels').exists()


def test_any_detector(own, in_iterations):
    found = own.look()
    cascade = get_config('mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py')
    cascade.model.rpn_head.num_classes = 1
    put(cascade, found)
    assert [head.num_classes for head in cascade.model.roi_head.bbox_head] == [2, 2, 2]
    assert cascade.model.rpn_head.num_classes == 1
    assert cascade.val_evaluator.metric == ['bbox'] and cascade.test_evaluator.ann_file == found.val
    retinanet = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    put(retinanet, found)
    assert retinanet.model.bbox_head.num_classes == 2
    wrapped = get_config('mmdet::yolox/yolox_s_8xb8-300e_coco.py')
    put(wrapped, found)
    assert len(build_dataset(wrapped, 'train_dataloader')) == 12
    several = get_config('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py')
    with pytest.raises(UserError, match='is of 2 data sets'):
        put(several, found)
    masks = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
    with pytest.raises(
        UserError, match=r'24 of 24 boxes of .*train.json have no segmentation; take a detector of boxes'
    ):
        put(get_config(masks), found)
    for labels in own.labels.values():
        for one in labels['annotations']:
            x, y, w, h = one['bbox']
            one['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    cfg = get_config(masks)
    put(cfg, own.look())
    assert cfg.val_evaluator.metric == ['bbox', 'segm'] and cfg.model.roi_head.mask_head.num_classes == 2
    unheaded = Config.fromfile(in_iterations)
    del unheaded.model.roi_head.bbox_head['num_classes']
    with pytest.raises(UserError, match='no head of'):
        put(unheaded, found)


def test_sizes_beside_anchors(data, in_iterations):
    """Squares of 16 px, bars of 6 x 30; on images twice as large, twice that."""
    cfg = Config.fromfile(in_iterations)
    words = 'objects measure 13 to 16 px (nine of ten) in images of 64 x 64, anchors 8 to 128 px'
    assert describe_sizes(cfg, whole(data, 'train')) == words
    resize = next(step for step in cfg.val_dataloader.dataset.pipeline if step['type'] == 'Resize')
    resize.scale = (128, 1000)
    assert describe_sizes(cfg, whole(data, 'train')).startswith('objects measure 27 to 32 px')
    cfg.model.rpn_head.anchor_generator.scales = [16]
    assert '50% are under half the smallest anchor' in describe_sizes(cfg, whole(data, 'train'))
    cfg.val_dataloader.dataset.pipeline.remove(resize)
    assert describe_sizes(cfg, whole(data, 'train')) is None


def test_weights_of_another_width(own, pretrained, tmp_path):
    detector = str(ROOT / 'configs/own/detectors/faster-rcnn_r18fpn_cpu.py')
    narrow = Comparison(detector, (Init('scratch'), Init('soco', str(pretrained))), tmp_path, own=own.look())
    cfg, _ = config_of_arm(narrow, narrow.inits[1])
    with pytest.raises(UserError, match=r'conv1.weight is \(32, .*\*_cpu.py fit pretrainings by mmsoco::own/\*_cpu.py'):
        loaded_share(cfg, narrow.inits[1])


@pytest.mark.slow
def test_by_the_command_line(own, in_epochs, pretrained, tmp_path):
    """A config of other data: rehearsed, then trained."""
    rename(own.labels['train'], {0: 12, 1: 7}, reverse=True)
    rename(own.labels['val'], {0: 3, 1: 30})
    own.look()
    cfg = Config.fromfile(in_epochs)
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.data_root = 'nowhere/'
    cfg.dump(tmp_path / 'detector.py')
    words = [sys.executable, ROOT / 'tools/compare.py', tmp_path / 'detector.py', '--fit', '--seeds', '1']
    for part in ('train', 'val'):
        words += [f'--{part}', tmp_path / f'{part}.json', own.images]
    words += ['--init', 'scratch', '--init', f'soco={pretrained}', '--out', tmp_path / 'out']
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT), 'PYTHONWARNINGS': 'ignore'}
    said = [
        subprocess.run(
            list(map(str, [*words, *more])), env=environment, capture_output=True, text=True, timeout=300, check=True
        ).stdout
        for more in (['--dry-run'], [])
    ]
    assert 'nothing was written' in said[0] and not any('mmengine' in text or 'OneDL' in text for text in said)
    assert 'train: 12 images, 24 boxes: my bar 12, my square 12' in said[0]
    assert '2 of 2 runs are over' in said[1]
    results = json.loads((tmp_path / 'out/results.json').read_text())
    assert len(results['runs']) == 2 and list((tmp_path / 'out/labels').glob('val_*.json'))
    assert all([point['step'] for point in run['curve']] == [3, 6] for run in results['runs'].values())
