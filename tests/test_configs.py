"""Every config builds; the transfer config trains and evaluates on a real detector."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsoco.engine.launch import test as evaluate
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.registry import MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[1] / 'configs'
PRETRAININGS = sorted([*CONFIGS.glob('soco/*.py'), *CONFIGS.glob('quickstart/soco_*.py')])


def without_parameters(cfg):
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmsoco'):
        return MODELS.build(cfg)


@pytest.mark.parametrize('path', PRETRAININGS, ids=lambda path: path.stem)
def test_pretraining_config(path):
    cfg = Config.fromfile(path)
    model = without_parameters(cfg.model)
    assert model.backbone.norm_eval is False and model.backbone.frozen_stages == -1
    pipeline = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[1])
    assert model.pairs == [tuple(pair) for pair in cfg.train_dataloader.dataset.pipeline[1].pairs]
    assert set(pipeline.views) == {name for pair in model.pairs for name in pair}


def test_recipe_of_the_paper():
    """Section 4.1 and the numbers of the released code, as a reader of the config finds them."""
    cfg = Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_400e_in1k.py')
    assert cfg.total_batch_size == 2048 and cfg.train_cfg.max_epochs == 400
    assert Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_100e_in1k.py').train_cfg.max_epochs == 100
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay, optimizer.trust) == (1.0, 0.9, 1e-5, 0.001)
    assert cfg.sync_bn == 'torch'
    transform = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[1])
    assert transform.num_proposals == 4 and transform.min_side == 0
    assert [view.size for view in transform.views.values()] == [224, 224, 112]
    assert list(transform.draws) == ['image+v2'] and transform.draws['image+v2'].views == ['v1', 'v2', 'v3']
    names = {view: [type(step).__name__ for step in steps] for view, steps in transform.augments.items()}
    common = ['HorizontalFlip', 'ColorJitter', 'Grayscale', 'GaussianBlur']
    assert names == {'v1': common, 'v2': [*common, 'Solarize'], 'v3': [*common, 'Solarize']}
    assert [steps[3].prob for steps in transform.augments.values()] == [1.0, 0.1, 0.1]
    assert {view: (jitter.prob, jitter.ratio) for view, jitter in transform.jitters.items()} == {'v1': (0.5, 0.1)}
    model = without_parameters(cfg.model)
    assert model.roi_head.bbox_roi_extractor.max_sizes == (48, 96, 192)
    widths = [(m.fc0.in_features, m.fc0.out_features, m.fc1.out_features) for m in (model.projector, model.predictor)]
    assert widths == [(1024, 4096, 256), (256, 4096, 256)]
    assert len(model.neck.fpn_convs) == 4
    assert all(conv.with_norm for conv in [*model.neck.fpn_convs, *model.neck.lateral_convs])


def transform_of(name):
    cfg = Config.fromfile(CONFIGS / f'soco/{name}.py')
    return cfg, TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[1])


def test_soco_star_has_a_fourth_view_with_boxes_of_its_own():
    """Section 4.3."""
    _, transform = transform_of('soco-star_r50fpn_8xb256_400e_in1k')
    assert [(view.source, view.size) for view in transform.views.values()] == [
        ('image', 224), ('v1', 224), ('v2', 112), ('v1', 192),
    ]  # fmt: skip
    assert {name: draw.views for name, draw in transform.draws.items()} == {
        'image+v2': ['v1', 'v2', 'v3'],
        'image+v4': ['v1', 'v4'],
    }
    assert [type(step).__name__ for step in transform.augments['v4']][-1] == 'Solarize'


@pytest.mark.parametrize('epochs', [100, 400])
def test_c4_compares_two_views_and_has_the_fifth_block_as_its_head(epochs):
    """Section 3.3."""
    cfg, transform = transform_of(f'soco_r50c4_8xb256_{epochs}e_in1k')
    assert cfg.train_cfg.max_epochs == epochs
    assert list(transform.views) == ['v1', 'v2'] and list(transform.draws) == ['image+v2']
    model = without_parameters(cfg.model)
    assert model.roi_head.bbox_roi_extractor.output_size == 14 and model.roi_head.bbox_roi_extractor.max_sizes == ()
    assert model.roi_head.shared_head.norm_eval is False and model.projector.fc0.in_features == 2048
    names = set(model.state_dict())
    assert {'roi_head.shared_head.layer4.2.conv3.weight', 'backbone.layer3.5.conv3.weight'} <= names
    assert not any(name.startswith(('neck.', 'backbone.layer4')) for name in names)


def cutouts(transform):
    return [name for name, steps in transform.augments.items() if type(steps[-1]).__name__ == 'BoxCutout']


def test_the_released_codes_ways():
    """What the released scripts do otherwise than the paper."""
    for epochs, hidden in ((100, ['v2', 'v3']), (400, [])):
        cfg, transform = transform_of(f'soco_r50fpn_8xb256_{epochs}e_in1k_official')
        assert cfg.train_cfg.max_epochs == epochs
        assert [view.source for view in transform.views.values()] == ['image'] * 3
        assert transform.views['v3'].crop == transform.views['v2'].crop == dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3))
        assert list(transform.draws) == ['image+v2', 'image+v3']
        assert transform.jitters['v1'].anchor == 0
        assert cfg.model.roi_head.bbox_roi_extractor.integer_levels
        assert cutouts(transform) == hidden
    _, star = transform_of('soco-star_r50fpn_8xb256_400e_in1k_official')
    assert [view.source for view in star.views.values()] == ['image', 'image', 'v2', 'image']
    assert list(star.draws) == ['image+v2', 'image+v4'] and not cutouts(star)
    for epochs in (100, 400):
        cfg, c4 = transform_of(f'soco_r50c4_8xb256_{epochs}e_in1k_official')
        assert cfg.train_cfg.max_epochs == epochs
        assert c4.views['v2'].source == 'image' and c4.views['v2'].crop.scale == (0.6, 1.0)
        assert not c4.jitters and cutouts(c4) == ['v2']


@pytest.mark.slow
@pytest.mark.parametrize('path', sorted(CONFIGS.glob('soco/*.py')), ids=lambda path: path.stem)
def test_pretraining_config_trains(path, tiny_options, tmp_path):
    """Two epochs of two steps, on eight pictures and a model some channels wide."""
    cfg = Config.fromfile(path)
    if 'c4' in path.stem:
        tiny_options = {
            key: value for key, value in tiny_options.items() if 'neck' not in key and 'bbox_head' not in key
        }
        # mmdet's shared head has fixed widths, so the backbone has, too.
        tiny_options |= {'model.backbone.base_channels': 64, 'model.backbone.stem_channels': 64}
        tiny_options |= {'model.roi_head.shared_head.depth': 18, 'model.projector.in_channels': 512}
    views = 'train_dataloader.dataset.pipeline.1.views'
    tiny_options = {key: value for key, value in tiny_options.items() if not key.startswith(views)}
    for i, view in enumerate(cfg.train_dataloader.dataset.pipeline[1].views):
        tiny_options[f'{views}.{i}.size'] = 32 if view.size == 112 else 64
    train(path, str(tmp_path), None, False, 1, tiny_options)
    record = json.loads((tmp_path / 'record_0.json').read_text())
    assert record['iter'] == 4
    checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert all(torch.isfinite(value).all() for value in checkpoint['state_dict'].values() if value.is_floating_point())


@pytest.fixture
def coco(tmp_path):
    """Four pictures of two rectangles each, as COCO has them, masks included."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (tmp_path / 'coco').mkdir()
    for i in range(4):
        picture = rng.integers(0, 80, (96, 128, 3), np.uint8)
        images.append(dict(id=i, file_name=f'{i}.jpg', width=128, height=96))
        for x, y in ((8, 10), (64, 30)):
            picture[y : y + 50, x : x + 50] = rng.integers(120, 255, 3)
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
        cv2.imwrite(str(tmp_path / f'coco/{i}.jpg'), picture)
    categories = [dict(id=i, name=name) for i, name in enumerate(CocoDataset.METAINFO['classes'], 1)]
    truth = dict(images=images, annotations=annotations, categories=categories)
    (tmp_path / 'coco.json').write_text(json.dumps(truth))
    return tmp_path


@pytest.fixture
def transfer_options(coco):
    """The transfer recipe on four tiny pictures, with few boxes a picture."""
    options = {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'train_dataloader.dataset.pipeline.2.scales': [(128, 96)],
        'val_dataloader.dataset.pipeline.1.scale': (128, 96),
        'model.train_cfg.rcnn.sampler.num': 8,
        'model.train_cfg.rpn_proposal.max_per_img': 20,
        'model.test_cfg.rpn.max_per_img': 10,
        'model.test_cfg.rcnn.score_thr': 0.0,
        'custom_hooks.1.num_iters': 1,
        'custom_hooks.1.interval': 2,
        'val_evaluator.ann_file': str(coco / 'coco.json'),
        'default_hooks.checkpoint.interval': 2,
    }
    options['test_evaluator.ann_file'] = options['val_evaluator.ann_file']
    options['test_dataloader.dataset.pipeline.1.scale'] = (128, 96)
    for loader in ('train', 'val', 'test'):
        options[f'{loader}_dataloader.num_workers'] = 0
        options[f'{loader}_dataloader.persistent_workers'] = False
        options[f'{loader}_dataloader.dataset.data_root'] = str(coco)
        options[f'{loader}_dataloader.dataset.ann_file'] = 'coco.json'
        options[f'{loader}_dataloader.dataset.data_prefix.img'] = 'coco/'
    return options


@pytest.mark.slow
def test_coco_transfer_loads_trains_and_evaluates(transfer_options, tmp_path):
    """The whole way: a pretraining checkpoint in, two steps, BN measured, boxes and masks evaluated, resumed."""
    with DefaultScope.overwrite_default_scope('mmsoco'):
        soco = MODELS.build(Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_100e_in1k.py').model)
    torch.save({'state_dict': soco.state_dict(), 'meta': {}}, tmp_path / 'epoch_100.pth')
    config = CONFIGS / 'transfer/coco/mask-rcnn_r50fpn_soco_1x.py'
    options = {**transfer_options, 'load_from': str(tmp_path / 'epoch_100.pth')}
    runner = train(config, str(tmp_path / 'out'), None, None, 1, options)
    metrics = runner.message_hub.log_scalars
    assert {'val/coco/bbox_mAP', 'val/coco/segm_mAP'} <= set(metrics)

    log = next((tmp_path / 'out').glob('*/*.log')).read_text()
    assert 'Weights from the pretraining' in log and 'new: depends on the classes' in log
    assert 'Measuring BN statistics on 1 batches' in log
    trained = torch.load(tmp_path / 'out/iter_2.pth', weights_only=True)
    norms = [group for group in trained['optimizer']['param_groups'] if group['weight_decay'] == 0]
    assert norms, 'norms should have no weight decay'
    assert int(trained['state_dict']['backbone.bn1.num_batches_tracked']) > 0, 'BN should train'

    # The detector's own checkpoint passes the hook unchanged.
    again = train(config, str(tmp_path / 'out'), 'auto', None, 1, {**options, 'train_cfg.max_iters': 3})
    assert again.iter == 3
    metrics = evaluate(config, str(tmp_path / 'out/iter_3.pth'), str(tmp_path / 'test'), tmp_path / 'm.json', options)
    assert json.loads((tmp_path / 'm.json').read_text()) == metrics and 'coco/segm_mAP' in metrics

    # What is no detector, and no checkpoint at all, is refused.
    with pytest.raises(UserError, match='the checkpoint is a pretraining, the model is not trained yet'):
        evaluate(config, options['load_from'], str(tmp_path / 'test'), None, options)
    with pytest.raises(UserError, match='no pretraining is given; add --cfg-options load_from='):
        train(config, str(tmp_path / 'y'), None, None, 1, transfer_options)
    torch.save({'state_dict': {'conv1.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(UserError, match='not a checkpoint of a SoCo pretraining'):
        train(config, str(tmp_path / 'x'), None, None, 1, {**options, 'load_from': str(tmp_path / 'other.pth')})
