"""Every transfer config loads a pretraining, trains and evaluates with the real packages."""

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from configured_hooks import configured_hooks
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from shrinking import shrink, shrink_detector, shrunk_backbone
from torchvision.models import resnet18

from mmsoco.checkpoints.pretraining import detector_weights
from mmsoco.checkpoints.transfer import plan_transfer, require_complete
from mmsoco.compare.own_data import look_through, put
from mmsoco.compare.running import forget_former_run
from mmsoco.engine.launch import test as evaluate
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def coco(tmp_path):
    """Four images of two rectangles each, as COCO has them, masks included."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (tmp_path / 'coco').mkdir()
    for i in range(4):
        image = rng.integers(0, 80, (96, 128, 3), np.uint8)
        images.append(dict(id=i, file_name=f'{i}.jpg', width=128, height=96))
        for x, y in ((8, 10), (64, 30)):
            image[y : y + 50, x : x + 50] = rng.integers(120, 255, 3)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=1,
                    bbox=[x, y, 50, 50],
                    area=2500,
                    iscrowd=0,
                    segmentation=[[x, y, x + 50, y, x + 50, y + 50, x, y + 50]],
                )
            )
        cv2.imwrite(str(tmp_path / f'coco/{i}.jpg'), image)
    categories = [dict(id=i, name=name) for i, name in enumerate(CocoDataset.METAINFO['classes'], 1)]
    truth = dict(images=images, annotations=annotations, categories=categories)
    (tmp_path / 'coco.json').write_text(json.dumps(truth))
    return tmp_path


def coco_options(path, coco):
    """A COCO config of the transfer on four tiny images: two steps, then an evaluation."""
    cfg = Config.fromfile(path)
    options = shrink_detector(path)
    if cfg.train_cfg.type == 'IterBasedTrainLoop':
        options |= {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'default_hooks.checkpoint.interval': 2}
    else:
        options |= {'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1}
    key, measuring = configured_hooks(cfg)['mmsoco.PreciseBNHook']
    options |= {f'{key}.num_iters': 1, f'{key}.interval': 1 if measuring.get('by_epoch') else 2}
    resize = cfg.train_dataloader.dataset.pipeline[2]
    scales = {'scales': [(128, 96)]} if resize.type == 'RandomChoiceResize' else {'scale': (128, 96)}
    options |= {f'train_dataloader.dataset.pipeline.2.{key}': value for key, value in scales.items()}
    for loader in ('val', 'test'):
        options[f'{loader}_evaluator.ann_file'] = str(coco / 'coco.json')
        options[f'{loader}_dataloader.dataset.pipeline.1.scale'] = (128, 96)
    for loader in ('train', 'val', 'test'):
        options[f'{loader}_dataloader.num_workers'] = 0
        options[f'{loader}_dataloader.persistent_workers'] = False
        options[f'{loader}_dataloader.dataset.data_root'] = str(coco)
        options[f'{loader}_dataloader.dataset.ann_file'] = 'coco.json'
        options[f'{loader}_dataloader.dataset.data_prefix.img'] = 'coco/'
    return options


def build_detector(cfg):
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS as MMDET_MODELS

        return MMDET_MODELS.build(cfg.model).eval()


def narrow_pretraining(path, work_dir):
    """A pretraining checkpoint that fits the shrunk detector of a config, untrained."""
    kind = next((kind for kind in ('r50c4', 'swin-t-fpn', 'vit-b') if kind in path.stem), 'r50fpn')
    config = CONFIGS / f'soco/soco_{kind}_8xb256_100e_in1k.py'
    cfg = Config.fromfile(config)
    options = shrink(config, 'images', 'proposals', channels=64)
    cfg.merge_from_dict({key: value for key, value in options.items() if key.startswith('model.')})
    with DefaultScope.overwrite_default_scope('mmsoco'):
        model = MODELS.build(cfg.model)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, work_dir / 'epoch_100.pth')
    return str(work_dir / 'epoch_100.pth')


@pytest.mark.slow
@pytest.mark.parametrize('path', sorted(CONFIGS.glob('transfer/coco/*.py')), ids=lambda path: path.stem)
def test_coco_config_trains_and_evaluates(path, coco, tmp_path):
    options = coco_options(path, coco)
    if 'soco' in path.stem:
        options['load_from'] = narrow_pretraining(path, tmp_path)
    if 'supervised' in path.stem:
        # As torchvision has it, from a file.
        torch.save(resnet18(weights=None).state_dict(), tmp_path / 'resnet18.pth')
        options['model.backbone.base_channels'] = options['model.backbone.stem_channels'] = 64
        options['model.backbone.init_cfg.checkpoint'] = str(tmp_path / 'resnet18.pth')
        if 'r50c4' in path.stem:
            options['model.roi_head.shared_head.init_cfg.checkpoint'] = str(tmp_path / 'resnet18.pth')
        else:
            options['model.neck.in_channels'] = [64, 128, 256, 512]
    runner = train(path, str(tmp_path / 'out'), options=options)
    assert runner.iter == 2 and 'val/coco/bbox_mAP' in runner.message_hub.log_scalars
    log = next((tmp_path / 'out').glob('*/*.log')).read_text()
    assert 'Measuring BN statistics on 1 batches' in log
    assert ('Weights to begin from' in log) == ('soco' in path.stem)
    if 'supervised' in path.stem:
        assert 'backbone.conv1.weight' in log and 'load model from' in log
    assert all(p.requires_grad for p in runner.model.parameters())


@pytest.mark.slow
def test_the_whole_way(coco, tmp_path):
    """A pretraining in, two steps, BN measured, boxes and masks evaluated, resumed; what does not fit is refused."""
    config = CONFIGS / 'transfer/coco/mask-rcnn_r50fpn_soco_1x.py'
    without = coco_options(config, coco)
    options = {**without, 'load_from': narrow_pretraining(config, tmp_path)}
    runner = train(config, str(tmp_path / 'out'), options=options)
    assert {'val/coco/bbox_mAP', 'val/coco/segm_mAP'} <= set(runner.message_hub.log_scalars)
    assert 'new: depends on the classes' in next((tmp_path / 'out').glob('*/*.log')).read_text()
    trained = torch.load(tmp_path / 'out/iter_2.pth', weights_only=True)
    norms = [group for group in trained['optimizer']['param_groups'] if group['weight_decay'] == 0]
    assert norms, 'norms should have no weight decay'
    assert int(trained['state_dict']['backbone.bn1.num_batches_tracked']) > 0, 'BN should train'

    # The detector's own checkpoint passes the hook unchanged.
    longer = {**options, 'train_cfg.max_iters': 3}
    with pytest.raises(UserError, match=r'iter_2.pth is of a run with train_cfg.max_iters 2, not 3'):
        train(config, str(tmp_path / 'out'), resume='auto', options=longer)
    again = train(config, str(tmp_path / 'out'), resume='auto', resume_anyway=True, options=longer)
    assert again.iter == 3
    metrics = evaluate(
        config,
        str(tmp_path / 'out/iter_3.pth'),
        work_dir=str(tmp_path / 'test'),
        out=tmp_path / 'm.json',
        options=options,
    )
    written = json.loads((tmp_path / 'm.json').read_text())
    assert list(written.pop('columns')) == ['box AP', 'box AP50', 'box AP75', 'mask AP', 'mask AP50', 'mask AP75']
    assert written == metrics and 'coco/segm_mAP' in metrics

    # What is no detector, and no checkpoint at all, is refused.
    with pytest.raises(UserError, match='the checkpoint is a pretraining, the model is not trained yet'):
        evaluate(config, options['load_from'], work_dir=str(tmp_path / 'test'), options=options)
    with pytest.raises(UserError, match='no pretraining is given; add --cfg-options load_from='):
        train(config, str(tmp_path / 'y'), options=without)
    torch.save({'state_dict': {'conv1.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'epoch_100.pth').read_bytes()[:-100])
    (tmp_path / 'text.pth').write_text('weights')
    other_classes = {**trained['state_dict'], 'roi_head.bbox_head.fc_cls.bias': torch.zeros(3)}
    torch.save({'state_dict': other_classes, 'meta': {}}, tmp_path / 'classes.pth')
    with zipfile.ZipFile(tmp_path / 'zip.pth', 'w') as archive:
        archive.writestr('a.txt', 'weights')
    for name, words in (
        ('other', 'not a checkpoint of a SoCo pretraining'),
        ('cut', 'cut.pth is cut short; copy it again'),
        ('text', 'text.pth is no checkpoint'),
        ('gone', 'gone.pth does not exist'),
        ('zip', 'zip.pth is no checkpoint'),
        ('classes', r'of a detector like this one, but roi_head.bbox_head.fc_cls.bias is \(3,\) there'),
    ):
        with pytest.raises(UserError, match=words):
            train(config, str(tmp_path / 'x'), options={**options, 'load_from': str(tmp_path / f'{name}.pth')})
    with pytest.raises(UserError, match='a pretraining cannot be resumed as a detector'):
        train(config, str(tmp_path / 'x'), resume=options['load_from'], options=without)
    with pytest.raises(UserError, match='is a folder; name a file'):
        evaluate(
            config, str(tmp_path / 'out/iter_3.pth'), work_dir=str(tmp_path / 'test'), out=tmp_path, options=options
        )


ITERATIONS = {'1x': 90000, '2x': 180000, '4x': 360000}


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('transfer/coco/mask-rcnn_r50*.py')), ids=lambda path: path.stem)
def test_schedule_of_the_paper(path):
    """Drops at 2/3 and 8/9 of the time; SGD with 0.02 and 2.5e-5, none of it on norms; every norm trains."""
    cfg = Config.fromfile(path)
    steps = ITERATIONS[path.stem.rpartition('_')[2]]
    warmup, drops = cfg.param_scheduler
    assert cfg.train_cfg.max_iters == drops.end == steps and warmup.end == 1000
    assert drops.milestones == [steps * 2 // 3, steps * 8 // 9]
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.02, 0.9, 2.5e-5)
    assert cfg.optim_wrapper.paramwise_cfg.norm_decay_mult == 0 and cfg.sync_bn == 'mmsoco'
    assert cfg.model.backbone.frozen_stages == -1 and cfg.model.backbone.norm_eval is False
    scales = cfg.train_dataloader.dataset.pipeline[2].scales
    assert [min(scale) for scale in scales] == list(range(640, 801, 32)) and cfg.train_dataloader.batch_size == 2
    hooks = configured_hooks(cfg)
    assert 'mmsoco.PreciseBNHook' in hooks and ('mmsoco.TransferHook' in hooks) == ('soco' in path.stem)


@pytest.mark.parametrize('kind', ['retinanet', 'fcos'])
def test_schedules_of_mmdet(kind):
    base = {'retinanet': 'retinanet/retinanet_r50_fpn_1x_coco.py', 'fcos': 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'}
    cfg, theirs = (
        Config.fromfile(CONFIGS / f'transfer/coco/{kind}_r50fpn_soco_1x.py'),
        get_config(f'mmdet::{base[kind]}'),
    )
    for key in ('optim_wrapper', 'train_cfg'):
        assert {k: v for k, v in cfg[key].items() if k != '_scope_'} == theirs[key]
    for mine, other in zip(cfg.param_scheduler, theirs.param_scheduler, strict=True):
        assert {k: v for k, v in mine.items() if k != '_scope_'} == other


def test_metafile_of_coco():
    models = yaml.safe_load((CONFIGS / 'transfer/coco/metafile.yml').read_text())['Models']
    assert {model['Config'] for model in models} == {
        f'configs/transfer/coco/{path.name}' for path in CONFIGS.glob('transfer/coco/*.py')
    }
    for model in models:
        words = (CONFIGS.parent / model['Config']).read_text().partition('_base_')[0]
        for result in model.get('Paper Results', []):
            assert str(next(iter(result['Metrics'].values()))) in words, model['Name']


def trained(path, images, proposal_file, work_dir, depth=18, **narrow):
    """The checkpoint of a pretraining config after one epoch of two steps, some channels wide."""
    options = shrink(path, images, proposal_file, depth, **narrow)
    train(path, str(work_dir), amp=False, options={**options, 'train_cfg.max_epochs': 1})
    return work_dir / 'epoch_1.pth'


@pytest.mark.slow
@pytest.mark.parametrize('name, depth', [('r18fpn', 18), ('r101fpn', 101), ('convnext-t-fpn', None)])
def test_other_backbones_by_config_alone(name, depth, images, proposal_file, tmp_path):
    """Two steps, then into Mask R-CNN with the same backbone: every tensor, and equal features."""
    path = CONFIGS / f'soco/soco_{name}_8xb256_100e_in1k.py'
    backbone = Config.fromfile(path).model.backbone
    assert backbone.get('depth') == depth
    checkpoint = trained(path, images, proposal_file, tmp_path, depth)
    state_dict = torch.load(checkpoint, weights_only=True)['state_dict']

    # The narrow pretraining once more, to compare features with.
    options = shrink(path, images, proposal_file, depth)
    pretraining = Config.fromfile(path)
    pretraining.merge_from_dict({key: value for key, value in options.items() if key.startswith('model.')})
    with DefaultScope.overwrite_default_scope('mmsoco'):
        soco = MODELS.build(pretraining.model).eval()
    soco.load_state_dict(state_dict)

    cfg = Config.fromfile(CONFIGS / 'transfer/coco/mask-rcnn_r50fpn_soco_1x.py')
    cfg.merge_from_dict(
        {
            'model.backbone': {**backbone, **shrunk_backbone(backbone, depth)[0], '_delete_': True},
            'model.neck.in_channels': shrunk_backbone(backbone, depth)[1],
            'model.neck.out_channels': 4,
            'model.rpn_head.in_channels': 4,
            'model.roi_head.bbox_roi_extractor.out_channels': 4,
            'model.roi_head.mask_roi_extractor.out_channels': 4,
            'model.roi_head.bbox_head': dict(in_channels=4, conv_out_channels=4, fc_out_channels=8),
            'model.roi_head.mask_head.in_channels': 4,
        }
    )
    cfg.model.backbone.get('arch', {}).pop('_delete_', None)
    detector = build_detector(cfg)
    transfer = plan_transfer(detector_weights(state_dict, 'x'), detector.state_dict())
    require_complete(transfer, 'x')
    assert {'backbone', 'neck', 'roi_head'} == {key.split('.')[0] for key in transfer.loaded}
    detector.load_state_dict(transfer.loaded, strict=False)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for mine, theirs in zip(soco.extract_feat(image), detector.extract_feat(image), strict=False):
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['swin-t-fpn', 'vit-b'])
def test_transformers_with_layer_decay(name, images, proposal_file, coco, tmp_path):
    """Two steps of pretraining, two of its own detector from there; rates fall towards the input."""
    config = CONFIGS / f'soco/soco_{name}_8xb256_100e_in1k.py'
    checkpoint = trained(config, images, proposal_file, tmp_path, channels=64)
    content = torch.load(checkpoint, weights_only=True)
    rates = {round(group['lr'] / max(g['lr'] for g in content['optimizer']['param_groups']), 4)
             for group in content['optimizer']['param_groups']}  # fmt: skip
    blocks = 5 if name == 'swin-t-fpn' else 2
    assert rates == {round(0.9**depth, 4) for depth in range(blocks + 2)}

    path = CONFIGS / f'transfer/coco/mask-rcnn_{name}_soco_1x.py'
    options = coco_options(path, coco)
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({key: value for key, value in options.items() if key.startswith('model.')})
    detector = build_detector(cfg)
    transfer = plan_transfer(detector_weights(content['state_dict'], 'x'), detector.state_dict())
    require_complete(transfer, 'x')
    assert not any(key.startswith(('backbone.', 'neck.')) for new in transfer.new.values() for key in new)
    detector.load_state_dict(transfer.loaded, strict=False)
    pretraining = Config.fromfile(config)
    narrow = shrink(config, images, proposal_file, channels=64)
    pretraining.merge_from_dict({key: value for key, value in narrow.items() if key.startswith('model.')})
    with DefaultScope.overwrite_default_scope('mmsoco'):
        soco = MODELS.build(pretraining.model).eval()
    soco.load_state_dict(content['state_dict'])
    image = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        maps = list(zip(soco.extract_feat(image), detector.extract_feat(image), strict=False))
    assert len(maps) == 4
    for mine, theirs in maps:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    runner = train(path, str(tmp_path / 'out'), options={**options, 'load_from': str(checkpoint)})
    assert runner.iter == 2 and 'val/coco/segm_mAP' in runner.message_hub.log_scalars


@pytest.mark.slow
@pytest.mark.parametrize('row', ['row1_whole-image', 'row3_fpn'])
def test_ablations_load_as_far_as_they_go(row, images, proposal_file, tmp_path):
    path = CONFIGS / f'ablation/table4_{row}.py'
    state_dict = torch.load(trained(path, images, proposal_file, tmp_path), weights_only=True)['state_dict']
    cfg = Config.fromfile(CONFIGS / 'transfer/coco/mask-rcnn_r50fpn_soco_1x.py')
    widths = {'depth': 18, 'base_channels': 8, 'stem_channels': 8}
    cfg.merge_from_dict({f'model.backbone.{key}': value for key, value in widths.items()})
    cfg.merge_from_dict({'model.neck.in_channels': [8, 16, 32, 64], 'model.neck.out_channels': 4})
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS as MMDET_MODELS

        detector = MMDET_MODELS.build(cfg.model).state_dict()
    transfer = plan_transfer(detector_weights(state_dict, 'x'), detector)
    require_complete(transfer, 'x')
    parts = {'backbone', 'neck'} if 'fpn' in row else {'backbone'}
    assert {key.split('.')[0] for key in transfer.loaded} == parts
    assert {key for key in detector if key.split('.')[0] in parts} == set(transfer.loaded)


def class_folders(root, classes):
    """Folders of a colour each, two images in each."""
    rng = np.random.default_rng(0)
    for i in range(classes):
        (root / f'{i:04d}').mkdir(parents=True)
        for j in range(2):
            image = np.clip(rng.normal(40 * i % 240, 20, (36, 40, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / f'{i:04d}/{j}.jpg'), image)
    return str(root)


LINEAR_OPTIONS = {
    'auto_scale_lr.base_batch_size': None,  # batches are small here
    'model.backbone.depth': 18,
    'model.backbone.base_channels': 8,
    'model.backbone.stem_channels': 8,
    'model.head.in_channels': 64,
    'train_cfg.val_interval': 1,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.checkpoint.max_keep_ckpts': 2,
    'train_dataloader.dataset.pipeline.1.scale': 32,
    'val_dataloader.dataset.pipeline.1.scale': 36,
    'val_dataloader.dataset.pipeline.2.crop_size': 32,
    **{f'{loader}_dataloader.num_workers': 0 for loader in ('train', 'val', 'test')},
    **{f'{loader}_dataloader.persistent_workers': False for loader in ('train', 'val', 'test')},
}


@pytest.fixture
def soco_checkpoint(images, proposal_file, tmp_path):
    return trained(CONFIGS / 'soco/soco_r50fpn_8xb256_100e_in1k.py', images, proposal_file, tmp_path / 'soco')


def linear(name, options, work_dir, checkpoint):
    """Train a linear evaluation; its backbone must stay what the checkpoint holds."""
    config = CONFIGS / f'transfer/imagenet/linear_r50_8xb32_100e_{name}.py'
    runner = train(config, str(work_dir), options={**options, 'load_from': str(checkpoint)})
    assert {'val/accuracy/top1', 'val/accuracy/top5'} <= set(runner.message_hub.log_scalars)
    pretrained = torch.load(checkpoint, weights_only=True)['state_dict']
    for name, value in runner.model.state_dict().items():
        if name.startswith('backbone.'):
            home = name if name in pretrained else name.replace('backbone.', 'roi_head.shared_head.')
            assert torch.equal(value, pretrained[home]), name
    return config, runner.model.head.fc.weight


@pytest.mark.slow
def test_linear_evaluation_on_a_folder(soco_checkpoint, tmp_path):
    """Appendix B: the backbone with its BN statistics stays as it was, the classifier learns, top-1 and top-5."""
    root = class_folders(tmp_path / 'classes', 6)
    options = {**LINEAR_OPTIONS, 'model.head.num_classes': 6, 'train_cfg.max_epochs': 20, 'train_cfg.val_interval': 20}
    # With three steps an epoch the warm-up would never end, and the rate is meant for 256 images.
    options |= {'param_scheduler.0.end': 1, 'param_scheduler.1.begin': 1, 'optim_wrapper.optimizer.lr': 1.0}
    options |= {
        'param_scheduler.1.T_max': 19,
        'param_scheduler.1.end': 20,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
    }
    for loader in ('train', 'val', 'test'):
        options |= {f'{loader}_dataloader.dataset.data_root': root, f'{loader}_dataloader.batch_size': 4}
    config, weight = linear('folder', options, tmp_path / 'out', soco_checkpoint)
    log = next((tmp_path / 'out').glob('*/*.log')).read_text()
    assert 'new: depends on the classes' in log and 'left: a classifier has no such part' in log
    first = torch.load(tmp_path / 'out/epoch_1.pth', weights_only=True)['state_dict']
    assert not torch.equal(first['head.fc.weight'], weight)
    # Colours are told apart far better than by chance, one in six.
    metrics = evaluate(
        config,
        str(tmp_path / 'out/epoch_20.pth'),
        work_dir=str(tmp_path / 'test'),
        out=tmp_path / 'm.json',
        options=options,
    )
    assert metrics['accuracy/top1'] > 60 and metrics['accuracy/top5'] > 90


@pytest.mark.slow
def test_linear_evaluation_of_c4(images, proposal_file, tmp_path):
    """The fifth block, which its detectors have as their head, is the backbone's again."""
    checkpoint = trained(CONFIGS / 'soco/soco_r50c4_8xb256_100e_in1k.py', images, proposal_file, tmp_path / 'soco')
    root = class_folders(tmp_path / 'classes', 6)
    options = {**LINEAR_OPTIONS, 'model.head.num_classes': 6, 'train_cfg.max_epochs': 1}
    options |= {'model.backbone.base_channels': 64, 'model.backbone.stem_channels': 64, 'model.head.in_channels': 512}
    for loader in ('train', 'val', 'test'):
        options |= {f'{loader}_dataloader.dataset.data_root': root, f'{loader}_dataloader.batch_size': 4}
    linear('folder', options, tmp_path / 'out', checkpoint)


@pytest.mark.slow
def test_linear_evaluation_on_a_thousand_classes(soco_checkpoint, tmp_path):
    class_folders(tmp_path / 'imagenet/train', 1000)
    class_folders(tmp_path / 'imagenet/val', 1000)
    options = {**LINEAR_OPTIONS, 'train_cfg.max_epochs': 1}
    for loader in ('train', 'val', 'test'):
        options[f'{loader}_dataloader.dataset.data_root'] = str(tmp_path / 'imagenet')
        options[f'{loader}_dataloader.batch_size'] = 256
    _, weight = linear('in1k', options, tmp_path / 'out', soco_checkpoint)
    assert weight.shape == (1000, 64)


def test_linear_recipe_of_the_paper():
    cfg = Config.fromfile(CONFIGS / 'transfer/imagenet/linear_r50_8xb32_100e_in1k.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (30.0, 0.9, 0.0)
    assert cfg.train_cfg.max_epochs == 100 and 8 * cfg.train_dataloader.batch_size == 256
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == 5
    assert [step.type for step in cfg.val_dataloader.dataset.pipeline[1:3]] == ['ResizeEdge', 'CenterCrop']
    assert (cfg.val_dataloader.dataset.pipeline[1].scale, cfg.val_dataloader.dataset.pipeline[2].crop_size) == (
        256,
        224,
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        from mmpretrain.registry import MODELS as CLASSIFIERS

        model = CLASSIFIERS.build(cfg.model).train()
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ['head.fc.weight', 'head.fc.bias']
    assert not any(module.training for module in model.backbone.modules() if isinstance(module, torch.nn.BatchNorm2d))


@pytest.mark.slow
@pytest.mark.parametrize('start', ['soco', 'scratch'])
def test_quickstart_detectors_train(start, coco, images, proposal_file, tmp_path):
    config = CONFIGS / f'quickstart/faster-rcnn_r18fpn_digits_{start}.py'
    options = {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'train_dataloader.batch_size': 2,
        'auto_scale_lr.base_batch_size': 2,
        'val_dataloader.dataset.pipeline.1.scale': (128, 96),
        'default_hooks.checkpoint.interval': 2,
    }
    for loader in ('train', 'val'):
        options |= {
            f'{loader}_dataloader.num_workers': 0,
            f'{loader}_dataloader.persistent_workers': False,
            f'{loader}_dataloader.dataset.data_root': f'{coco}/',
            f'{loader}_dataloader.dataset.ann_file': 'coco.json',
            f'{loader}_dataloader.dataset.data_prefix.img': 'coco/',
            f'{loader}_dataloader.dataset.metainfo.classes': CocoDataset.METAINFO['classes'][:10],
        }
    options['val_evaluator.ann_file'] = str(coco / 'coco.json')
    if start == 'soco':
        path = CONFIGS / 'quickstart/soco_r18fpn_digits.py'
        with DefaultScope.overwrite_default_scope('mmsoco'):
            soco = MODELS.build(Config.fromfile(path).model)
        torch.save({'state_dict': soco.state_dict(), 'meta': {}}, tmp_path / 'soco.pth')
        options['load_from'] = str(tmp_path / 'soco.pth')
    runner = train(config, str(tmp_path / 'out'), options=options)
    assert runner.iter == 2 and 'val/coco/bbox_mAP' in runner.message_hub.log_scalars


def test_no_config_is_left_out():
    """Which tests train which configs; a new folder must join one of them."""
    folders = {path.relative_to(CONFIGS).parent.as_posix() for path in CONFIGS.rglob('*.py')}
    here = {'transfer/coco', 'transfer/imagenet', 'transfer/examples', 'quickstart', 'evidence', 'own/detectors'}
    elsewhere = {
        'soco',
        'ablation',
        'own',
        'channels',
        'warm_start',
        'transfer/voc',
        'transfer/lvis',
        'transfer/mini_coco',
    }
    assert {folder for folder in folders if not folder.endswith('_base_')} == here | elsewhere
    assert {path.name for path in CONFIGS.glob('transfer/imagenet/*.py')} == {
        'linear_r50_8xb32_100e_in1k.py',
        'linear_r50_8xb32_100e_folder.py',
    }
    assert {path.name for path in CONFIGS.glob('quickstart/*.py')} == {
        'faster-rcnn_r18fpn_digits_soco.py',
        'faster-rcnn_r18fpn_digits_scratch.py',
        'soco_r18fpn_digits.py',
        'soco_r18fpn_digits_byol-adamw.py',
        'soco_r18fpn_digits_byol-lars.py',
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    'path',
    sorted(
        path
        for folder in ('transfer/examples', 'evidence')
        for path in CONFIGS.glob(f'{folder}/*.py')
        if not path.stem.startswith(('soco', 'row'))
    ),
    ids=lambda path: path.stem,
)
def test_example_trains_and_evaluates(path, coco, monkeypatch, tmp_path):
    """On images of its own, found by the environment variable; from a pretraining of the example's width."""
    data = 'NUCLEI' if 'nuclei' in path.stem else 'CARDS'
    monkeypatch.setenv(data, str(coco))
    classes = Config.fromfile(path).train_dataloader.dataset.metainfo.classes
    truth = json.loads((coco / 'coco.json').read_text())
    truth['categories'] = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    for part in ('train', 'val', 'test'):
        (coco / f'{part}.json').write_text(json.dumps(truth))
        (coco / part).symlink_to(coco / 'coco')
    options = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'default_hooks.checkpoint.interval': 2}
    for loader in ('train', 'val', 'test'):
        options |= {f'{loader}_dataloader.num_workers': 0, f'{loader}_dataloader.persistent_workers': False}
    options |= {'train_dataloader.batch_size': 2, 'auto_scale_lr.base_batch_size': 2}
    options |= {'model.test_cfg.score_thr': 0.0, 'model.test_cfg.rcnn.score_thr': 0.0}
    if '-r50' in path.stem:  # for the sake of CPUs
        options |= {'train_dataloader.dataset.pipeline.2.scale': (64, 64)}
        options |= {'val_dataloader.dataset.pipeline.1.scale': (64, 64)}
        options |= {'model.train_cfg.rcnn.sampler.num': 8, 'model.test_cfg.rpn.max_per_img': 20}
    if path.stem.endswith('soco'):
        pretraining = CONFIGS / f'transfer/examples/soco_r18fpn_{data.lower()}.py'
        with DefaultScope.overwrite_default_scope('mmsoco'):
            soco = MODELS.build(Config.fromfile(pretraining).model)
        torch.save({'state_dict': soco.state_dict(), 'meta': {}}, tmp_path / 'soco.pth')
        options['load_from'] = str(tmp_path / 'soco.pth')
    runner = train(path, str(tmp_path / 'out'), options=options)
    assert runner.iter == 2 and 'val/coco/bbox_mAP' in runner.message_hub.log_scalars


@pytest.mark.slow
@pytest.mark.parametrize('path', sorted(CONFIGS.glob('own/detectors/*.py')), ids=lambda path: path.stem)
def test_own_detector_takes_its_recipes_weights_and_any_data(path, coco, tmp_path):
    """At the width of configs/own, whose every tensor it loads; two steps and an evaluation."""
    recipe = CONFIGS / f'own/100-pictures_{path.stem.rpartition("_")[2]}.py'
    with DefaultScope.overwrite_default_scope('mmsoco'):
        soco = MODELS.build(Config.fromfile(recipe).model)
    torch.save({'state_dict': soco.state_dict(), 'meta': {}}, tmp_path / 'soco.pth')
    shutil.copytree(coco / 'coco', coco / 'others')
    shutil.copy(coco / 'coco.json', coco / 'others.json')
    cfg = Config.fromfile(path)
    put(cfg, look_through((coco / 'coco.json', coco / 'coco'), (coco / 'others.json', coco / 'others'), tmp_path))
    for part in ('train', 'val'):
        pipeline = cfg[f'{part}_dataloader'].dataset.pipeline
        place = next(i for i, step in enumerate(pipeline) if 'Resize' in step['type'])
        pipeline[place] = dict(type='Resize', scale=(128, 96), keep_ratio=True)
    options = {
        'load_from': str(tmp_path / 'soco.pth'),
        'default_hooks.transfer.type': 'mmsoco.TransferHook',
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'train_dataloader.batch_size': 2,
        'test_dataloader': None,
        'test_cfg': None,
        'test_evaluator': None,
    }
    for loader in ('train', 'val'):
        options |= {f'{loader}_dataloader.num_workers': 0, f'{loader}_dataloader.persistent_workers': False}
    if 'rpn_head' in cfg.model:
        options |= {'model.train_cfg.rcnn.sampler.num': 8, 'model.test_cfg.rpn.max_per_img': 10}
    if 'precise_bn' in cfg.default_hooks:
        options |= {'default_hooks.precise_bn.num_iters': 1, 'default_hooks.precise_bn.interval': 2}
    cfg.merge_from_dict(options)
    cfg.dump(tmp_path / 'detector.py')
    forget_former_run()  # its visualizer's folder is gone
    runner = train(tmp_path / 'detector.py', str(tmp_path / 'out'), auto_scale_lr=True)
    assert runner.iter == 2
    log = next((tmp_path / 'out').glob('*/*.log')).read_text()
    assert 'Weights to begin from' in log
    loaded = runner.model.backbone.state_dict()
    assert all(loaded[name].shape == tensor.shape for name, tensor in soco.backbone.state_dict().items())
    assert runner.model.neck.lateral_convs[0].bn.weight.shape == soco.neck.lateral_convs[0].bn.weight.shape
