"""Configs of pretrainings that begin from weights, each trained from torchvision's ResNet-18."""

from pathlib import Path

import pytest
import torch
from foreign_weights import resnet18
from mmengine.config import Config
from shrinking import shrink

from mmsoco.engine.launch import train

CONFIGS = sorted((Path(__file__).parents[2] / 'configs/warm_start').glob('*.py'))


def test_what_they_set():
    frozen, supervised = map(Config.fromfile, CONFIGS)
    assert frozen.model.frozen == ['backbone'] and supervised.optim_wrapper.paramwise_cfg.loaded_lr == 0.1
    assert supervised.train_cfg.max_epochs == 30 and supervised.default_hooks.learning_rate.warmup_epochs == 3
    for cfg in (frozen, supervised):
        assert cfg.load_from == 'torchvision://resnet50' and cfg.default_hooks.warm_start.type == 'WarmStartHook'
        assert cfg.model.backbone.depth == 50 and cfg.model.backbone.style == 'pytorch'


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_each_trains(path, images, proposal_file, tmp_path):
    torch.save(resnet18().state_dict(), tmp_path / 'resnet18.pth')
    options = shrink(path, images, proposal_file) | {
        'model.backbone.base_channels': 64,
        'model.backbone.stem_channels': 64,
        'model.neck.in_channels': [64, 128, 256, 512],
    }
    train(path, str(tmp_path / 'out'), amp=False, options=options, init=str(tmp_path / 'resnet18.pth'))
    saved = torch.load((tmp_path / 'out/last_checkpoint').read_text(), weights_only=True)
    assert saved['meta']['iter'] == 4 and saved['meta']['init']['loaded'] == ['backbone.']
