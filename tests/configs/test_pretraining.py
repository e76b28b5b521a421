"""Every pretraining config builds and trains, and says what the paper says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope
from shrinking import shrink

from mmsoco.engine.launch import train
from mmsoco.images.lists import COCO, IMAGENET
from mmsoco.registry import MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[2] / 'configs'
ABLATIONS = sorted(CONFIGS.glob('ablation/*.py'))
OWN = sorted(CONFIGS.glob('own/*.py'))
PRETRAININGS = [
    *sorted(CONFIGS.glob('soco/*.py')),
    *ABLATIONS,
    *OWN,
    *sorted(CONFIGS.glob('channels/soco_*.py')),
    *sorted(CONFIGS.glob('quickstart/soco_*.py')),
    *sorted(CONFIGS.glob('transfer/examples/soco_*.py')),
    *sorted(CONFIGS.glob('evidence/row*.py')),
]


def without_parameters(cfg):
    # ConvNeXt computes with its weights when built.
    with (
        torch.device('meta' if cfg.backbone.type == 'mmdet.ResNet' else 'cpu'),
        DefaultScope.overwrite_default_scope('mmsoco'),
    ):
        return MODELS.build(cfg)


@pytest.mark.parametrize('path', PRETRAININGS, ids=lambda path: path.stem)
def test_pretraining_config(path):
    cfg = Config.fromfile(path)
    model = without_parameters(cfg.model)
    if cfg.model.backbone.type == 'mmdet.ResNet':
        assert model.backbone.norm_eval is False and model.backbone.frozen_stages == -1
    pipeline = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline.multi_view)
    assert model.pairs is None  # the batch says which
    pairs = [pair for box_set in pipeline.box_sets.values() for pair in box_set.pairs]
    assert set(pipeline.views) == {name for pair in pairs for name in pair}


def test_recipe_of_the_paper():
    """Section 4.1 and the numbers of the official code, as a reader of the config finds them."""
    cfg = Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_400e_in1k.py')
    assert cfg.total_batch_size == 2048 and cfg.train_cfg.max_epochs == 400
    assert Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_100e_in1k.py').train_cfg.max_epochs == 100
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay, optimizer.trust) == (1.0, 0.9, 1e-5, 0.001)
    assert cfg.sync_bn == 'mmsoco'
    transform = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline.multi_view)
    assert transform.num_proposals == 4 and transform.min_side == 0
    assert [view.size for view in transform.views.values()] == [224, 224, 112]
    assert list(transform.box_sets) == ['image+v2'] and transform.box_sets['image+v2'].views == ['v1', 'v2', 'v3']
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
    return cfg, TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline.multi_view)


def test_soco_star_has_a_fourth_view_with_boxes_of_its_own():
    """Section 4.3."""
    _, transform = transform_of('soco-star_r50fpn_8xb256_400e_in1k')
    assert [(view.source, view.size) for view in transform.views.values()] == [
        ('image', 224), ('v1', 224), ('v2', 112), ('v1', 192),
    ]  # fmt: skip
    assert {name: box_set.views for name, box_set in transform.box_sets.items()} == {
        'image+v2': ['v1', 'v2', 'v3'],
        'image+v4': ['v1', 'v4'],
    }
    assert [type(step).__name__ for step in transform.augments['v4']][-1] == 'Solarize'


@pytest.mark.parametrize('epochs', [100, 400])
def test_c4_compares_two_views_and_has_the_fifth_block_as_its_head(epochs):
    """Section 3.3."""
    cfg, transform = transform_of(f'soco_r50c4_8xb256_{epochs}e_in1k')
    assert cfg.train_cfg.max_epochs == epochs
    assert list(transform.views) == ['v1', 'v2'] and list(transform.box_sets) == ['image+v2']
    model = without_parameters(cfg.model)
    assert model.roi_head.bbox_roi_extractor.output_size == 14 and model.roi_head.bbox_roi_extractor.max_sizes == ()
    assert model.roi_head.shared_head.norm_eval is False and model.projector.fc0.in_features == 2048
    names = set(model.state_dict())
    assert {'roi_head.shared_head.layer4.2.conv3.weight', 'backbone.layer3.5.conv3.weight'} <= names
    assert not any(name.startswith(('neck.', 'backbone.layer4')) for name in names)


def cutouts(transform):
    return [name for name, steps in transform.augments.items() if type(steps[-1]).__name__ == 'BoxCutout']


def test_the_official_codes_ways():
    """What the official scripts do otherwise than the paper."""
    for epochs, hidden in ((100, ['v2', 'v3']), (400, [])):
        cfg, transform = transform_of(f'soco_r50fpn_8xb256_{epochs}e_in1k_official')
        assert cfg.train_cfg.max_epochs == epochs
        assert [view.source for view in transform.views.values()] == ['image'] * 3
        assert transform.views['v3'].crop == transform.views['v2'].crop == dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3))
        assert list(transform.box_sets) == ['image+v2', 'image+v3']
        assert transform.jitters['v1'].anchor == 0
        assert cfg.model.roi_head.bbox_roi_extractor.integer_levels
        assert cutouts(transform) == hidden
    _, star = transform_of('soco-star_r50fpn_8xb256_400e_in1k_official')
    assert [view.source for view in star.views.values()] == ['image', 'image', 'v2', 'image']
    assert list(star.box_sets) == ['image+v2', 'image+v4'] and not cutouts(star)
    for epochs in (100, 400):
        cfg, c4 = transform_of(f'soco_r50c4_8xb256_{epochs}e_in1k_official')
        assert cfg.train_cfg.max_epochs == epochs
        assert c4.views['v2'].source == 'image' and c4.views['v2'].crop.scale == (0.6, 1.0)
        assert not c4.jitters and cutouts(c4) == ['v2']


RECIPE = 'soco/soco_r50fpn_8xb256_100e_in1k.py'


def differing(name, base=RECIPE):
    """What of a config differs from another one: {dotted key: value}, None where there is none."""

    def flat(value, prefix):
        pairs = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
        )
        if not pairs:
            yield prefix, value
        for key, item in pairs:
            yield from flat(item, f'{prefix}.{key}' if prefix else str(key))

    def read(path):
        # Without the variables that the configs' own lists are made of.
        cfg = Config.fromfile(CONFIGS / path)
        return dict(flat({key: cfg[key] for key in cfg if key != 'multi_view'}, ''))

    mine, theirs = read(f'ablation/{name}.py'), read(base)
    return {key: mine.get(key) for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}


PIPELINE = 'train_dataloader.dataset.pipeline.multi_view'


def test_each_row_of_table_4_adds_one_thing():
    rows = [
        'row1_whole-image', 'row2_selective-search', 'row3_fpn', 'row4_head', 'row5_scale-aware', 'row6_box-jitter',
    ]  # fmt: skip
    steps = [
        differing(f'table4_{row}', f'ablation/table4_{rows[i + 1]}.py' if i < 5 else RECIPE)
        for i, row in enumerate(rows)
    ]
    extractor = 'model.roi_head.bbox_roi_extractor'
    assert steps[0] == {f'{PIPELINE}.num_proposals': 0}
    fpn = ('model.neck', f'{extractor}.', 'model.projector.in_channels', 'model.backbone.out_indices')
    assert all(key.startswith(fpn) for key in steps[1]) and any(key.startswith('model.neck.') for key in steps[1])
    assert all(key.startswith(('model.roi_head.bbox_head', 'model.projector.in_channels')) for key in steps[2])
    assert all(key.startswith(extractor) for key in steps[3]) and f'{extractor}.type' in steps[3]
    assert all(key.startswith(f'{PIPELINE}.views.v1.jitter') for key in steps[4]) and steps[4]
    assert all(key.startswith((f'{PIPELINE}.views.v3', f'{PIPELINE}.pairs.1')) for key in steps[5])

    models = [Config.fromfile(CONFIGS / f'ablation/table4_{row}.py') for row in rows]
    transforms = [TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline.multi_view) for cfg in models]
    assert [t.num_proposals for t in transforms] == [0, 4, 4, 4, 4, 4]
    assert [bool(t.jitters) for t in transforms] == [False] * 5 + [True]
    assert all(list(t.views) == ['v1', 'v2'] for t in transforms)
    built = [without_parameters(cfg.model) for cfg in models]
    assert [hasattr(model, 'neck') for model in built] == [False] * 2 + [True] * 4
    assert [hasattr(model.roi_head, 'bbox_head') for model in built] == [False] * 3 + [True] * 3
    assert [type(model.roi_head.bbox_roi_extractor).__name__ for model in built] == [
        *['ScaleAwareRoIExtractor'] * 2, *['AllLevelsRoIExtractor'] * 2, *['ScaleAwareRoIExtractor'] * 2,
    ]  # fmt: skip
    assert [model.projector.fc0.in_features for model in built] == [2048, 2048, 256, 1024, 1024, 1024]


def number(path):
    return float(path.stem.rpartition('-')[2].lstrip('k'))


def test_each_row_of_table_5_changes_one_number():
    changes = {
        'table5a': f'{PIPELINE}.views.v3.size',
        'table5b': 'total_batch_size',
        'table5c': f'{PIPELINE}.num_proposals',
        'table5d': 'default_hooks.target_update.base_momentum',
    }
    names = {path.stem for path in ABLATIONS if path.stem.startswith('table5')}
    for name in names:
        changed = differing(name)
        proposals = changed.pop('train_dataloader.dataset.proposal_file', None)
        assert (proposals is not None) == ('random' in name)
        value = float(name.rpartition('-')[2].lstrip('k'))
        # Random boxes with K = 4 change nothing else.
        assert changed == ({} if name.endswith('random-k4') else {changes[name[:7]]: value}), name
    assert {name.partition('_')[2] for name in names} == {
        'v3-96', 'v3-128', 'v3-160', 'v3-192', 'batch-512', 'batch-1024', 'batch-4096', 'selective-search-k1',
        'selective-search-k8', 'selective-search-k16', 'random-k1', 'random-k4', 'random-k8', 'momentum-0.98',
        'momentum-0.993',
    }  # fmt: skip


def test_dice_of_each_view_over_two_thousand_draws():
    """The probabilities of section 4.1, of each view of the built recipe, by what happens to its pixels and boxes."""
    views = TRANSFORMS.build(Config.fromfile(CONFIGS / RECIPE).train_dataloader.dataset.pipeline.multi_view)
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    expected = {
        'HorizontalFlip': dict(v1=0.5, v2=0.5, v3=0.5),
        'ColorJitter': dict(v1=0.8, v2=0.8, v3=0.8),
        'Grayscale': dict(v1=0.2, v2=0.2, v3=0.2),
        'GaussianBlur': dict(v1=1.0, v2=0.1, v3=0.1),
        'Solarize': dict(v2=0.2, v3=0.2),
    }
    for view, steps in views.augments.items():
        assert {type(step).__name__ for step in steps} == {name for name in expected if view in expected[name]}
        for step in steps:
            rng = np.random.default_rng(1)
            changed = sum(
                not np.array_equal(step(dict(img=image.copy(), boxes={}, rng=rng))['img'], image) for _ in range(2000)
            )
            probability = expected[type(step).__name__][view]
            # Four standard deviations; a blur of the smallest sigma leaves small images as they are.
            slack = 4 * (probability * (1 - probability) / 2000) ** 0.5 + (0.15 if 'Blur' in type(step).__name__ else 0)
            assert abs(changed / 2000 - probability) <= slack * (1 if probability < 1 else 1.5), (view, step)
    jitter = views.jitters['v1']
    rng = np.random.default_rng(2)
    box = np.array([[80, 90, 130, 150]], np.float32)
    moved = np.concatenate(
        [jitter(dict(img=np.zeros((224, 224, 3)), boxes={'d': box.copy()}, rng=rng))['boxes']['d'] for _ in range(2000)]
    )
    untouched = (moved == box).all(axis=1)
    assert abs(untouched.mean() - 0.5) < 4 * (0.25 / 2000) ** 0.5
    center, side = (moved[:, :2] + moved[:, 2:]) / 2, moved[:, 2:] - moved[:, :2]
    for values, middle, scale in ((center, (105, 120), (50, 60)), (side, (50, 60), (50, 60))):
        relative = ((values - middle) / scale)[~untouched]
        assert np.abs(relative).max() <= 0.1 + 1e-5 and (relative.max(axis=0) > 0.098).all()
        assert (relative.min(axis=0) < -0.098).all()


@pytest.mark.parametrize('path', OWN, ids=lambda path: path.stem)
def test_recipes_for_own_images_learn_by_contrast_and_are_measured(path):
    cfg = Config.fromfile(path)
    assert cfg.model.predictor.type == 'InfoNCEHead' and cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.train_cfg.max_steps > 0 and cfg.train_cfg.max_epochs is None
    assert cfg.model.neck.norm_cfg.type == 'BN' and cfg.train_dataloader.drop_last
    hooks = {hook.type: hook for hook in cfg.default_hooks.values()}
    assert hooks['TargetUpdateHook'].base_momentum is None and hooks['WarmupCosineLRHook'].base_batch_size is None
    assert hooks['ProbeHook'].images == 10 and cfg.train_cfg.max_steps >= 3 * hooks['ProbeHook'].interval > 0
    # The bounds of the levels are the paper's, in proportion to the views.
    size = cfg.train_dataloader.dataset.pipeline.multi_view.views.v1.size
    bounds = cfg.model.roi_head.bbox_roi_extractor.max_sizes
    assert bounds == pytest.approx([bound * size / 224 for bound in (48, 96, 192)], abs=0.6)
    # Enough images for a batch, less the tenth that is held out.
    count = {'100': 100, '1k': 1000, '10k': 10_000, '50k': 50_000}[path.stem.partition('-')[0]]
    assert cfg.total_batch_size <= 0.9 * count


def test_coco_for_530_epochs_takes_as_many_steps_as_imagenet_for_100():
    """Table 9: ImageNet is 5.3 times as large."""
    cfg = Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_530e_coco.py')
    assert cfg.train_cfg.max_epochs == 530 and cfg.train_dataloader.dataset.data_root == 'data/coco'
    assert 530 * (COCO // 2048) == pytest.approx(100 * (IMAGENET // 2048), rel=0.02)
    subset = Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_100e_in1k-subset.py').train_dataloader.dataset
    assert subset.data_root == 'data/imagenet/train' and 'subset' in subset.proposal_file


@pytest.mark.parametrize('folder', ['soco', 'ablation', 'own', 'channels'])
def test_metafile_names_every_config(folder):
    models = yaml.safe_load((CONFIGS / folder / 'metafile.yml').read_text())['Models']
    assert {model['Config'] for model in models} == {
        f'configs/{folder}/{path.name}' for path in CONFIGS.glob(f'{folder}/*.py')
    }
    assert all(model['Name'] == Path(model['Config']).stem for model in models)
    for model in models:
        # The figures that a config's comment cites are those of the metafile.
        words = (CONFIGS.parent / model['Config']).read_text().replace('\n# ', ' ')
        results = model.get('Results', []) + model.get('Paper Results', [])
        for result in results:
            ((name, value),) = result['Metrics'].items()
            assert f'{value} {name}' in words, model['Name']
        assert results or 'AP' not in words.split('\n')[0], model['Name']


@pytest.mark.slow
# Those of other channels are trained, on such images, in tests/configs/test_channels.py.
@pytest.mark.parametrize('path', [p for p in PRETRAININGS if p.parent.name != 'channels'], ids=lambda path: path.stem)
def test_pretraining_config_trains(path, images, proposal_file, tmp_path):
    """Two epochs of two steps, on eight images and a model some channels wide."""
    train(path, str(tmp_path), amp=False, options=shrink(path, images, proposal_file))
    record = json.loads((tmp_path / 'record_0.json').read_text())
    assert record['iter'] == 4
    (last,) = (path for name in ('epoch_2.pth', 'iter_4.pth') if (path := tmp_path / name).exists())
    checkpoint = torch.load(last, weights_only=True)
    assert all(torch.isfinite(value).all() for value in checkpoint['state_dict'].values() if value.is_floating_point())
