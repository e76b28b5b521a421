"""The learning rate of a fine-tuning, and its images a step."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmsoco.engine.base_batch import settle_rate
from mmsoco.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
MASK_RCNN = CONFIGS / 'transfer/coco/mask-rcnn_r50fpn_soco_1x.py'


@pytest.fixture
def cfg():
    """Of Mask R-CNN on COCO: 2 images a process, lr 0.02 for 16."""
    return Config.fromfile(MASK_RCNN)


def rate(cfg):
    return cfg.optim_wrapper.optimizer.lr


def test_the_batch_that_it_is_made_for(cfg):
    assert settle_rate(cfg, 8, scale=False) == 'images a step: 16 = 8 x 2, as the learning rate is made for'
    assert rate(cfg) == 0.02


def test_another_batch_is_refused_with_what_to_do(cfg):
    with pytest.raises(UserError) as stop:
        settle_rate(cfg, 1, scale=False, options={'load_from': 'x.pth'})
    assert str(stop.value) == (
        'the learning rate 0.02 is made for 16 images a step, and these are 2 = 1 x 2; add --auto-scale-lr to the '
        'command, for 0.0025, or give one yourself: --cfg-options optim_wrapper.optimizer.lr=0.0025; if 0.02 is meant '
        'for 2, --cfg-options auto_scale_lr.base_batch_size=2'
    )
    assert rate(cfg) == 0.02


@pytest.mark.parametrize(
    ('world', 'batch', 'accumulate', 'scaled'), [(1, 2, 1, 0.0025), (16, 2, 1, 0.04), (1, 2, 4, 0.01)]
)
def test_it_is_scaled_linearly(cfg, world, batch, accumulate, scaled):
    cfg.optim_wrapper.accumulative_counts = accumulate
    note = settle_rate(cfg, world, scale=True)
    assert rate(cfg) == pytest.approx(scaled) and f'learning rate {scaled:g}, scaled linearly from 0.02' in note
    # What is written down is made for this batch, and nobody scales it once more.
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=world * 2 * accumulate)
    assert settle_rate(cfg, world, scale=True).endswith('as the learning rate is made for')
    assert rate(cfg) == pytest.approx(scaled)


def test_accumulated_batches_count(cfg):
    cfg.optim_wrapper.accumulative_counts = 8
    assert 'images a step: 16 = 1 x 2 x 8 accumulated' in settle_rate(cfg, 1, scale=False)


def test_the_config_may_ask_for_it(cfg):
    cfg.auto_scale_lr.enable = True
    settle_rate(cfg, 1, scale=False)
    assert rate(cfg) == pytest.approx(0.0025) and cfg.auto_scale_lr.enable is False


@pytest.mark.parametrize(
    'options',
    [
        {'optim_wrapper.optimizer.lr': 0.02},
        {'optim_wrapper.optimizer': dict(type='SGD', lr=0.02)},
        {'optim_wrapper': dict(optimizer=dict(lr=0.02))},
    ],
)
def test_a_rate_that_is_typed_is_taken(cfg, options):
    assert settle_rate(cfg, 1, False, options).endswith('not 16; learning rate 0.02, as given')


@pytest.mark.parametrize('options', [{'optim_wrapper.paramwise_cfg.bias_lr_mult': 2.0}, {'param_scheduler.0.lr': 1}])
def test_other_options_are_no_rate(cfg, options):
    with pytest.raises(UserError, match='made for 16'):
        settle_rate(cfg, 1, False, options)


@pytest.mark.parametrize('given', [None, dict(enable=False), dict(base_batch_size=None)])
def test_a_config_that_does_not_say_its_batch(cfg, given):
    cfg.auto_scale_lr = given
    assert settle_rate(cfg, 1, scale=False).endswith('does not say for how many its learning rate is made')
    cfg.auto_scale_lr = given
    with pytest.raises(UserError, match=r'--cfg-options auto_scale_lr.base_batch_size=16'):
        settle_rate(cfg, 1, scale=True)


@pytest.mark.parametrize('base', [0, -4, 'x', True])
def test_a_batch_that_is_none(cfg, base):
    cfg.auto_scale_lr.base_batch_size = base
    with pytest.raises(UserError, match='base_batch_size'):
        settle_rate(cfg, 1, scale=True)


@pytest.mark.parametrize(
    ('loader', 'words'),
    [
        (dict(batch_size=0), 'cannot be counted by train_dataloader.batch_size 0'),
        (dict(), 'cannot be counted by train_dataloader.batch_size None'),
        (dict(batch_sampler=dict(type='AspectRatioBatchSampler', batch_size=2)), '16 = 8 x 2, as the'),
        (dict(batch_size=2, batch_sampler=None), '16 = 8 x 2, as the'),
    ],
)
def test_where_a_loader_says_its_batch(cfg, loader, words):
    cfg.train_dataloader = loader
    assert words in settle_rate(cfg, 8, scale=False)


def test_all_groups_follow(cfg):
    """Of paramwise rates and of layer decay, and what mmengine logs as the base rate."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    cfg.optim_wrapper.paramwise_cfg = dict(bias_lr_mult=2.0)
    before = build_optim_wrapper(model, cfg.optim_wrapper).get_lr()
    settle_rate(cfg, 4, scale=True)
    after = build_optim_wrapper(model, cfg.optim_wrapper).get_lr()
    assert set(before) == {'lr', 'base_lr'} and len(set(before['lr'])) == 2
    for name, values in before.items():
        assert after[name] == pytest.approx([value / 2 for value in values])


def test_several_optimizers_and_one_without_a_rate(cfg):
    cfg.optim_wrapper = dict(
        constructor='Mine',
        first=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
        second=dict(type='OptimWrapper', optimizer=dict(type=torch.optim.AdamW)),
    )
    assert 'learning rate 0.0125, 0.000125, scaled' in settle_rate(cfg, 1, scale=True)
    assert cfg.optim_wrapper.first.optimizer.lr == pytest.approx(0.0125)
    assert cfg.optim_wrapper.second.optimizer.lr == pytest.approx(1e-3 / 8)  # torch's default


FINETUNINGS = [
    path
    for folder in ('transfer', 'quickstart', 'channels')
    for path in sorted(CONFIGS.glob(f'{folder}/**/*.py'))
    if '_base_' not in path.parts and not path.name.startswith('soco_')
]


@pytest.mark.parametrize('path', FINETUNINGS, ids=lambda path: path.stem)
def test_each_config_says_what_its_rate_is_made_for(path):
    """Its own batch, on 8 GPUs or, where it is for a CPU, in one process."""
    processes = 1 if path.parent.name in ('examples', 'quickstart', 'channels') else 8
    assert settle_rate(Config.fromfile(path), processes, scale=False).endswith('as the learning rate is made for')
