"""The transfers to VOC, LVIS and parts of COCO: their numbers, and that each trains and evaluates."""

import json
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
import yaml
from configured_hooks import configured_hooks
from mmdet.datasets import CocoDataset, LVISV1Dataset, VOCDataset
from mmengine.config import Config
from mmengine.registry import DefaultScope
from shrinking import shrink, shrink_detector
from torchvision.models import resnet18

from mmsoco.engine.launch import test as evaluate
from mmsoco.engine.launch import train
from mmsoco.images.mini_coco import default_out, sample_file
from mmsoco.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
FOLDERS = ('voc', 'lvis', 'mini_coco')
PATHS = [path for folder in FOLDERS for path in sorted(CONFIGS.glob(f'transfer/{folder}/*.py'))]
SIZE = (128, 96)


def load(name):
    return Config.fromfile(CONFIGS / f'transfer/{name}.py')


# The numbers of the recipes


def schedule(cfg):
    warmup, steps = cfg.param_scheduler
    assert cfg.train_cfg.type == 'IterBasedTrainLoop'
    assert (warmup.type, warmup.begin, warmup.by_epoch) == ('LinearLR', 0, False)
    assert (steps.type, steps.gamma, steps.by_epoch, steps.end) == ('MultiStepLR', 0.1, False, cfg.train_cfg.max_iters)
    return warmup.end, cfg.train_cfg.max_iters, steps.milestones


def sgd(cfg):
    assert cfg.optim_wrapper.paramwise_cfg.norm_decay_mult == 0
    optimizer = cfg.optim_wrapper.optimizer
    return optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay


def short_sides(pipeline):
    (resize,) = (step for step in pipeline if step.type == 'RandomChoiceResize')
    return [scale[1] for scale in resize.scales]


@pytest.mark.parametrize('start', ['soco', 'scratch', 'supervised'])
def test_voc_recipe(start):
    cfg = load(f'voc/faster-rcnn_r50c4_{start}_24k')
    assert schedule(cfg) == (100, 24000, [18000, 22000])
    assert sgd(cfg) == ('SGD', 0.02, 0.9, 1e-4)
    assert 8 * cfg.train_dataloader.batch_size == 16
    parts = cfg.train_dataloader.dataset.datasets
    assert [part.ann_file for part in parts] == [f'VOC20{year}/ImageSets/Main/trainval.txt' for year in ('07', '12')]
    assert all(short_sides(part.pipeline) == list(range(480, 801, 32)) for part in parts)
    for loader, metric in ((cfg.val_dataloader, cfg.val_evaluator), (cfg.test_dataloader, cfg.test_evaluator)):
        assert loader.dataset.ann_file == 'VOC2007/ImageSets/Main/test.txt'
        assert (metric.type, metric.metric, metric.eval_mode) == ('VOCMetric', 'mAP', '11points')
        assert isinstance(metric.iou_thrs, list)
        assert metric.iou_thrs == [round(0.5 + 0.05 * i, 2) for i in range(10)]
    assert cfg.model.roi_head.bbox_head.num_classes == 20


@pytest.mark.parametrize('start', ['soco', 'supervised'])
@pytest.mark.parametrize('length', [1, 2])
def test_lvis_recipe(start, length):
    cfg = load(f'lvis/mask-rcnn_r50fpn_{start}_{length}x')
    assert schedule(cfg) == (1000, 180000 * length, [120000 * length, 160000 * length])
    assert sgd(cfg) == ('SGD', 0.02, 0.9, 2.5e-5)
    assert 8 * cfg.train_dataloader.batch_size == 16 and cfg.train_dataloader.sampler.type == 'InfiniteSampler'
    repeated = cfg.train_dataloader.dataset
    assert (repeated.type, repeated.oversample_thr) == ('ClassBalancedDataset', 0.001)
    assert short_sides(repeated.dataset.pipeline) == list(range(640, 801, 32))
    assert (cfg.model.test_cfg.rcnn.score_thr, cfg.model.test_cfg.rcnn.max_per_img) == (1e-4, 300)
    assert cfg.model.roi_head.bbox_head.num_classes == cfg.model.roi_head.mask_head.num_classes == 1203
    for metric, file in ((cfg.val_evaluator, 'lvis_v1_val'), (cfg.test_evaluator, 'lvis_v1_val')):
        assert (metric.type, metric.metric) == ('mmsoco.LVISMetric', ['bbox', 'segm'])
        assert metric.ann_file == f'data/lvis_v1/annotations/{file}.json'


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('transfer/mini_coco/*.py')), ids=lambda path: path.stem)
def test_mini_coco_recipe(path):
    """All as on the whole of COCO, but for the images."""
    whole = load(f'coco/{path.stem.rpartition("_")[0]}')
    part = Config.fromfile(path)
    percent = float(path.stem.rpartition('_')[2].removesuffix('percent'))
    assert percent in (5, 10, 50)
    file = whole.train_dataloader.dataset.ann_file
    assert part.train_dataloader.dataset.ann_file == str(default_out(file, percent, 0))
    part.train_dataloader.dataset.ann_file = file
    assert part.to_dict() == whole.to_dict()
    assert schedule(part) == (1000, 90000, [60000, 80000]) and sgd(part) == ('SGD', 0.02, 0.9, 2.5e-5)


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_what_all_have_in_common(path):
    cfg = Config.fromfile(path)
    hooks = configured_hooks(cfg)
    assert ('mmsoco.TransferHook' in hooks) == ('soco' in path.stem)
    # BN is measured before each evaluation.
    assert hooks['mmsoco.PreciseBNHook'][1].interval == cfg.train_cfg.val_interval
    assert cfg.train_cfg.max_iters % cfg.train_cfg.val_interval == 0
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.type, checkpoint.by_epoch) == ('mmsoco.CheckpointHook', False)
    assert cfg.log_processor.by_epoch is False
    assert cfg.sync_bn == 'mmsoco'

    model = cfg.model
    images = model.data_preprocessor
    assert images.bgr_to_rgb and images.mean == [123.675, 116.28, 103.53]
    assert images.std == [58.395, 57.12, 57.375]
    parts = [model.backbone]
    if 'r50c4' in path.stem:
        parts.append(model.roi_head.shared_head)
        assert model.roi_head.shared_head.type == 'ResLayerExtraNorm'
    else:
        assert model.roi_head.bbox_head.type == 'Shared4Conv1FCBBoxHead'
        for part in (model.neck, model.roi_head.bbox_head, model.roi_head.mask_head):
            assert part.norm_cfg == dict(type='BN', requires_grad=True)
    for part in parts:
        assert (part.depth, part.style, part.norm_eval) == (50, 'pytorch', False)
        assert part.norm_cfg == dict(type='BN', requires_grad=True)
        assert part.get('frozen_stages', -1) == -1
        labels = dict(type='Pretrained', checkpoint='torchvision://resnet50')
        assert part.init_cfg == (labels if 'supervised' in path.stem else None)


@pytest.mark.parametrize('folder', FOLDERS)
def test_metafile_names_every_config(folder):
    models = yaml.safe_load((CONFIGS / f'transfer/{folder}/metafile.yml').read_text())['Models']
    assert {model['Config'] for model in models} == {
        f'configs/transfer/{folder}/{path.name}' for path in CONFIGS.glob(f'transfer/{folder}/*.py')
    }
    others = {'soco': None, 'scratch': 'none', 'supervised': 'supervised on ImageNet-1k'}
    for model in models:
        assert model['Name'] == Path(model['Config']).stem
        cfg = Config.fromfile(CONFIGS.parent / model['Config'])
        assert model['Metadata'] == {'Iterations': cfg.train_cfg.max_iters, 'Batch Size': 16}
        pretrainings = [result['Pretraining'] for result in model['Paper Results']]
        start = next(start for start in others if f'_{start}_' in model['Name'])
        for name in pretrainings:
            assert name == others[start] or (CONFIGS / f'soco/{name}.py').is_file()
        # The comment on top names the same figures.
        comment = (CONFIGS.parent / model['Config']).read_text().partition('_base_')[0]
        for result in model['Paper Results']:
            metrics = result['Metrics']
            first = next(iter(metrics.items()))
            assert first[0] in ('box AP', 'mask AP') and str(first[1]) in comment
            assert metrics['AP50'] > first[1]


# Images and annotations in the three formats


def image(path, rng):
    """A dark image of two bright squares; returns their boxes, (x, y, w, h)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 80, (SIZE[1], SIZE[0], 3), np.uint8)
    boxes = [(8, 10, 50, 50), (64, 30, 50, 50)]
    for x, y, w, h in boxes:
        pixels[y : y + h, x : x + w] = rng.integers(120, 255, 3)
    assert cv2.imwrite(str(path), pixels)
    return boxes


def outline(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


@pytest.fixture
def voc(tmp_path):
    """A VOCdevkit: 2007 trainval and test, 2012 trainval, three images each; one box is difficult."""
    root = tmp_path / 'VOCdevkit'
    rng = np.random.default_rng(0)
    for year, split in (('VOC2007', 'trainval'), ('VOC2007', 'test'), ('VOC2012', 'trainval')):
        names = [f'{split}{i}' for i in range(3)]
        for name in names:
            annotation = ElementTree.Element('annotation')
            size = ElementTree.SubElement(annotation, 'size')
            for tag, value in (('width', SIZE[0]), ('height', SIZE[1]), ('depth', 3)):
                ElementTree.SubElement(size, tag).text = str(value)
            for k, (x, y, w, h) in enumerate(image(root / f'{year}/JPEGImages/{name}.jpg', rng)):
                item = ElementTree.SubElement(annotation, 'object')
                ElementTree.SubElement(item, 'name').text = VOCDataset.METAINFO['classes'][k]
                ElementTree.SubElement(item, 'difficult').text = str(int(name == 'trainval0' and k == 0))
                box = ElementTree.SubElement(item, 'bndbox')
                for tag, value in (('xmin', x), ('ymin', y), ('xmax', x + w), ('ymax', y + h)):
                    ElementTree.SubElement(box, tag).text = str(value)
            (root / year / 'Annotations').mkdir(exist_ok=True)
            ElementTree.ElementTree(annotation).write(root / f'{year}/Annotations/{name}.xml')
        lists = root / year / 'ImageSets/Main'
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f'{split}.txt').write_text('\n'.join(names) + '\n')
    return root


def coco_annotations(root, folder, count, classes, rng, **of_image):
    """COCO JSON of some images that are written, too; their ids begin with 1."""
    images, annotations = [], []
    for i in range(1, count + 1):
        images.append(dict(id=i, file_name=f'{i}.jpg', width=SIZE[0], height=SIZE[1], **of_image))
        for k, box in enumerate(image(root / folder / f'{i}.jpg', rng), 1):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=k,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                    segmentation=outline(*box),
                )
            )
    categories = [
        dict(id=i, name=name, frequency='rcf'[i % 3], image_count=count, instance_count=count)
        for i, name in enumerate(classes, 1)
    ]
    return dict(images=images, annotations=annotations, categories=categories)


@pytest.fixture
def lvis(tmp_path):
    """LVIS v1: training and validation images in COCO's folders, four each."""
    pytest.importorskip('lvis')
    root = tmp_path / 'lvis_v1'
    rng = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        truth = coco_annotations(
            root, f'{split}2017', 4, LVISV1Dataset.METAINFO['classes'], rng,
            neg_category_ids=[3], not_exhaustive_category_ids=[],
        )  # fmt: skip
        for image in truth['images']:
            # There are no file names in LVIS.
            image['coco_url'] = f'http://images.cocodataset.org/{split}2017/{image.pop("file_name")}'
        (root / f'annotations/lvis_v1_{split}.json').write_text(json.dumps(truth))
    return root


@pytest.fixture
def mini_coco(tmp_path):
    """COCO with 60 training images, drawn from as the tool does by default."""
    root = tmp_path / 'coco'
    rng = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    for split, count in (('train', 60), ('val', 2)):
        truth = coco_annotations(root, f'{split}2017', count, CocoDataset.METAINFO['classes'], rng)
        (root / f'annotations/instances_{split}2017.json').write_text(json.dumps(truth))
    for percent in (5, 10, 50):
        sample_file(root / 'annotations/instances_train2017.json', None, percent)
    return root


# Training


@pytest.fixture(scope='module')
def soco_weights(tmp_path_factory):
    """Checkpoints of pretrainings that fit the shrunk detectors, untrained."""
    folder = tmp_path_factory.mktemp('soco')
    channels = shrink_detector(CONFIGS / 'transfer/lvis/mask-rcnn_r50fpn_soco_1x.py')['model.neck.out_channels']
    for kind in ('r50c4', 'r50fpn'):
        config = CONFIGS / f'soco/soco_{kind}_8xb256_100e_in1k.py'
        cfg = Config.fromfile(config)
        options = shrink(config, 'images', 'proposals', channels=channels)
        cfg.merge_from_dict({key: value for key, value in options.items() if key.startswith('model.')})
        with DefaultScope.overwrite_default_scope('mmsoco'):
            model = MODELS.build(cfg.model)
        torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / f'{kind}.pth')
    return folder


@pytest.fixture(scope='module')
def torchvision_weights(tmp_path_factory):
    """What stands for torchvision://resnet50, which cannot be fetched in a test."""
    path = tmp_path_factory.mktemp('torchvision') / 'resnet18.pth'
    torch.save(resnet18(weights=None).state_dict(), path)
    return path


def tiny_options(path, root):
    """Two steps on small images below a folder; the names of files in it stay the config's."""
    cfg = Config.fromfile(path)
    options = shrink_detector(path)
    options |= {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'default_hooks.checkpoint.interval': 2}
    measuring = configured_hooks(cfg)['mmsoco.PreciseBNHook'][0]
    options |= {f'{measuring}.num_iters': 1, f'{measuring}.interval': 2}

    if path.parent.name == 'lvis':
        # 1203 masks a detection.
        options |= {'model.test_cfg.rpn.max_per_img': 3, 'model.test_cfg.rcnn.max_per_img': 10}
    prefix = 'train_dataloader.dataset'
    sets = {'voc': [f'{prefix}.datasets.0', f'{prefix}.datasets.1'], 'lvis': [f'{prefix}.dataset']}
    for name in sets.get(path.parent.name, [prefix]):
        options |= {f'{name}.data_root': f'{root}/', f'{name}.pipeline.2.scales': [SIZE]}
    for loader in ('val', 'test'):
        options |= {f'{loader}_dataloader.dataset.data_root': f'{root}/'}
        options |= {f'{loader}_dataloader.dataset.pipeline.1.scale': SIZE}
        file = cfg[f'{loader}_evaluator'].get('ann_file')
        if file is not None:
            options[f'{loader}_evaluator.ann_file'] = str(root / 'annotations' / Path(file).name)
    for loader in ('train', 'val', 'test'):
        options |= {f'{loader}_dataloader.num_workers': 0, f'{loader}_dataloader.persistent_workers': False}
    return options


def starting_options(path, soco_weights, torchvision_weights):
    """Where the weights come from."""
    c4 = 'r50c4' in path.stem
    if '_soco_' in path.stem:
        return {'load_from': str(soco_weights / f'{"r50c4" if c4 else "r50fpn"}.pth')}
    if '_scratch_' in path.stem:
        return {}
    wide = {'model.backbone.base_channels': 64, 'model.backbone.stem_channels': 64}
    wide['model.backbone.init_cfg.checkpoint'] = str(torchvision_weights)
    if c4:
        return wide | {'model.roi_head.shared_head.init_cfg.checkpoint': str(torchvision_weights)}
    return wide | {'model.neck.in_channels': [64, 128, 256, 512]}


METRICS = {
    'voc': ['pascal_voc/mAP', *(f'pascal_voc/AP{threshold}' for threshold in range(50, 100, 5))],
    'lvis': [f'lvis/{kind}_AP{which}' for kind in ('bbox', 'segm') for which in ('', '50', '75', 'r', 'c', 'f')],
    'mini_coco': [f'coco/{kind}_mAP{which}' for kind in ('bbox', 'segm') for which in ('', '_50', '_75')],
}


@pytest.mark.slow
@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_config_trains_and_evaluates(path, request, soco_weights, torchvision_weights, tmp_path):
    folder = path.parent.name
    root = request.getfixturevalue(folder)
    options = tiny_options(path, root) | starting_options(path, soco_weights, torchvision_weights)
    # mmengine keeps visualizers by their name, and so would this test the folder of the last one.
    options['visualizer.name'] = f'{folder}-{path.stem}'
    runner = train(path, str(tmp_path / 'out'), options=options)
    assert runner.iter == 2
    assert {f'val/{name}' for name in METRICS[folder]} <= set(runner.message_hub.log_scalars)
    assert all(p.requires_grad for p in runner.model.parameters())

    log = next((tmp_path / 'out').glob('*/*.log')).read_text()
    assert 'Measuring BN statistics on 1 batches' in log
    assert ('Weights to begin from' in log) == ('_soco_' in path.stem)
    assert ('load model from' in log) == ('_supervised_' in path.stem)

    checkpoint = torch.load(tmp_path / 'out/iter_2.pth', weights_only=True)
    assert checkpoint['meta']['dataset_meta']['classes'] == runner.val_dataloader.dataset.metainfo['classes']
    groups = checkpoint['optimizer']['param_groups']
    assert {group['weight_decay'] for group in groups} == {0, 1e-4 if folder == 'voc' else 2.5e-5}

    if path.stem.endswith(('soco_24k', 'soco_1x', 'soco_1x_5percent')):
        metrics = evaluate(path, str(tmp_path / 'out/iter_2.pth'), work_dir=str(tmp_path / 'test'), options=options)
        assert set(METRICS[folder]) <= set(metrics)
    if folder == 'mini_coco':
        percent = int(path.stem.rpartition('_')[2].removesuffix('percent'))
        assert len(runner.train_dataloader.dataset) == 60 * percent // 100
    if folder == 'voc':
        sizes = [len(part) for part in runner.train_dataloader.dataset.datasets]
        assert sizes == [3, 3]
        first = runner.train_dataloader.dataset[0]['data_samples']
        # The difficult box is there to be ignored.
        assert (len(first.gt_instances), len(first.ignored_instances)) == (1, 1)
