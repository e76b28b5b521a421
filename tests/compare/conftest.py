"""A detector and data small enough to compare arms in seconds."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config

CLASSES = ('square', 'bar')


def scene(rng):
    """64 x 64 uint8 with a bright square and a dark bar; and their boxes, xywh."""
    image = rng.integers(100, 140, (64, 64, 3), dtype=np.uint8)
    x, y = (int(v) for v in rng.integers(0, 32, 2))
    image[y : y + 16, x : x + 16] = (250, 240, 60)
    image[54:60, x : x + 30] = (10, 20, 90)
    return image, [[x, y, 16, 16], [x, 54, 30, 6]]


def write_data(folder, counts=(('train', 12), ('val', 4))):
    """COCO JSON and PNGs of each part."""
    rng = np.random.default_rng(0)
    for part, count in counts:
        (folder / part).mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            image, boxes = scene(rng)
            assert cv2.imwrite(str(folder / part / f'{i}.png'), image)
            images.append(dict(id=i, file_name=f'{i}.png', width=64, height=64))
            for category, (x, y, w, h) in enumerate(boxes):
                box = dict(bbox=[x, y, w, h], area=w * h, iscrowd=0, category_id=category)
                annotations.append(dict(id=len(annotations) + 1, image_id=i, **box))
        names = [dict(id=i, name=name) for i, name in enumerate(CLASSES)]
        truth = dict(images=images, annotations=annotations, categories=names)
        (folder / f'{part}.json').write_text(json.dumps(truth))


def detector(folder, **settings):
    """mmdet's Faster R-CNN as it is, some channels wide, on that data: in epochs, frozen, without norms in its FPN."""
    cfg = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
    pack = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
    pipeline = [*load, dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='RandomFlip', prob=0.5)]
    packed = {'train': [*pipeline, dict(type='PackDetInputs')], 'val': [*load, pipeline[2], pack]}
    options = {
        'model.backbone': dict(depth=18, base_channels=8, stem_channels=8),
        'model.neck': dict(in_channels=[8, 16, 32, 64], out_channels=8),
        'model.rpn_head': dict(in_channels=8, feat_channels=8, anchor_generator=dict(scales=[2])),
        'model.roi_head.bbox_roi_extractor.out_channels': 8,
        'model.roi_head.bbox_head': dict(in_channels=8, fc_out_channels=16, num_classes=2),
        'model.train_cfg.rcnn.sampler.num': 16,
        'model.train_cfg.rpn_proposal': dict(nms_pre=50, max_per_img=20),
        'model.test_cfg': dict(rpn=dict(nms_pre=50, max_per_img=10), rcnn=dict(score_thr=0.0)),
        'train_dataloader.batch_size': 4,
        'train_cfg.max_epochs': 2,
        'optim_wrapper.optimizer': dict(lr=0.01),
        'auto_scale_lr': None,
        'val_evaluator': dict(type='mmsoco.CocoMetric', ann_file=f'{folder}/val.json'),
        **settings,
    }
    for part in packed:
        data = dict(data_root=f'{folder}/', ann_file=f'{part}.json', data_prefix=dict(img=f'{part}/'))
        data |= dict(pipeline=packed[part], metainfo=dict(classes=CLASSES))
        options[f'{part}_dataloader.dataset'] = data
        options |= {f'{part}_dataloader.num_workers': 0, f'{part}_dataloader.persistent_workers': False}
    cfg.merge_from_dict(options)
    return cfg


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """Folder of train and val."""
    folder = tmp_path_factory.mktemp('scenes')
    write_data(folder)
    return folder


@pytest.fixture(scope='session')
def in_epochs(data):
    """Path of a config of mmdet's kind."""
    path = data / 'in_epochs.py'
    detector(data).dump(path)
    return path


@pytest.fixture(scope='session')
def in_iterations(data):
    """Path of one that counts iterations."""
    cfg = detector(data)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.train_dataloader.batch_sampler = None
    cfg.param_scheduler = dict(type='MultiStepLR', by_epoch=False, begin=0, end=4, milestones=[3])
    cfg.log_processor = dict(by_epoch=False)
    path = data / 'in_iterations.py'
    cfg.dump(path)
    return path


@pytest.fixture(scope='session')
def pretrained(in_iterations, data):
    """A checkpoint with all that a SoCo pretraining of the fitted detector has, without its images."""
    from mmdet.registry import MODELS
    from mmengine.registry import DefaultScope

    from mmsoco.compare.fitting import fit_norms

    cfg = Config.fromfile(in_iterations)
    cfg.model.backbone.init_cfg = None
    fit_norms(cfg)
    torch.manual_seed(7)
    with DefaultScope.overwrite_default_scope('mmdet'):
        state = MODELS.build(cfg.model).state_dict()
    parts = ('backbone.', 'neck.', 'roi_head.bbox_head.shared_')
    online = {name: tensor for name, tensor in state.items() if name.startswith(parts)}
    # What tells a pretraining from a detector.
    twins = {f'target.{name}': tensor for name, tensor in online.items()}
    path = data / 'pretrained.pth'
    torch.save({'state_dict': online | twins, 'meta': {}}, path)
    return path
