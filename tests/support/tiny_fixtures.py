"""Models, batches and options small enough for tests."""

import socket
from pathlib import Path

import pytest
import torch
from shrinking import VIEWS, shrink

from mmsoco.engine.launch import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='session')
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope='session')
def recipe(root):
    """The paper's recipe, to be run with ``tiny_options``."""
    return str(root / 'configs/soco/soco_r50fpn_8xb256_400e_in1k.py')


@pytest.fixture
def tiny_options(recipe, images, proposal_file):
    """``--cfg-options`` that make the recipe two epochs of two steps on eight images."""
    return shrink(recipe, images, proposal_file)


@pytest.fixture(scope='session')
def learned(recipe, images, proposal_file, tmp_path_factory):
    """The work folder of a run that learns to tell the boxes of its eight images apart, in 160 steps."""
    options = shrink(recipe, images, proposal_file, channels=16) | {
        'model.predictor.type': 'InfoNCEHead',
        'model.projector.hid_channels': 32,
        'model.predictor.hid_channels': 32,
        'model.projector.out_channels': 16,
        'model.predictor.in_channels': 16,
        'model.predictor.out_channels': 16,
        'total_batch_size': 8,
        'optim_wrapper.optimizer': dict(_delete_=True, type='AdamW', lr=5e-3),
        'optim_wrapper.constructor': 'PretrainOptimConstructor',
        'train_cfg': dict(_delete_=True, type='PretrainLoop', max_steps=160),
        'default_hooks.learning_rate.warmup_share': 0.125,
        'default_hooks.learning_rate.base_batch_size': None,
        'default_hooks.target_update.base_momentum': 0.9,
        'default_hooks.health.interval': 20,
        'default_hooks.checkpoint': dict(by_epoch=False, interval=160),
        # Without changes of colour it is easy enough.
        **{f'{VIEWS}.{view}.augment': [] for view in ('v1', 'v2', 'v3')},
    }
    work_dir = tmp_path_factory.mktemp('learned')
    train(recipe, str(work_dir), amp=False, options=options)
    return work_dir


@pytest.fixture
def tiny_model_cfg():
    """The real model, some channels wide."""
    norm_cfg = dict(type='BN', requires_grad=True)
    return dict(
        type='mmsoco.SoCoAlgorithm',
        backbone=dict(
            type='mmdet.ResNet',
            depth=18,
            base_channels=8,
            stem_channels=8,
            norm_cfg=norm_cfg,
            norm_eval=False,
            init_cfg=None,
        ),
        neck=dict(type='mmdet.FPN', in_channels=[8, 16, 32, 64], out_channels=4, num_outs=4, norm_cfg=norm_cfg),
        roi_head=dict(
            type='mmsoco.ProposalRoIHead',
            bbox_roi_extractor=dict(type='mmsoco.ScaleAwareRoIExtractor', max_sizes=(12, 24, 48)),
            bbox_head=dict(
                type='Shared4Conv1FCBBoxHead',
                _scope_='mmdet',
                in_channels=4,
                conv_out_channels=4,
                fc_out_channels=8,
                norm_cfg=norm_cfg,
                with_reg=False,
                cls_predictor_cfg=dict(type='mmsoco.Identity'),
            ),
        ),
        projector=dict(type='mmsoco.BYOLNeck', in_channels=8, hid_channels=16, out_channels=8),
        predictor=dict(type='mmsoco.BYOLHead', in_channels=8, hid_channels=16, out_channels=8),
        pairs=[('v1', 'v2'), ('v1', 'v3')],
    )


@pytest.fixture
def batch():
    """Two images in three views of 64, 64 and 32 px, with three matched boxes."""
    generator = torch.Generator().manual_seed(0)

    def view(size):
        return torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=generator)

    def boxes(size):
        corners = torch.rand(2, 3, 2, 2, generator=generator) * size
        return torch.cat([corners.amin(2), corners.amax(2) + 1], dim=2)

    v2 = boxes(63)
    return {
        'inputs': {'v1': view(64), 'v2': view(64), 'v3': view(32)},
        'boxes': {name: {'image+v2': rows} for name, rows in (('v1', boxes(63)), ('v2', v2), ('v3', v2 / 2))},
        'matches': {'image+v2': dict.fromkeys([('v1', 'v2'), ('v1', 'v3')], torch.tensor([3, 3]))},
    }


@pytest.fixture
def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
