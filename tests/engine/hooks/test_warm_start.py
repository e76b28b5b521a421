"""What a pretraining shows its backbone, and what weights have seen."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from mmsoco.checkpoints.pretraining import Origin
from mmsoco.engine.hooks.warm_start import WarmStartHook, check_shown
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

HALVES = [127.5, 127.5, 127.5]
OPTION = 'default_hooks.warm_start.same_images=False'


@pytest.fixture
def model(tiny_model_cfg):
    """It shows its images as some of timm's models see them."""
    return MODELS.build(tiny_model_cfg | {'data_preprocessor': dict(type='mmsoco.SoCoDataPreprocessor', mean=HALVES)})


@pytest.fixture
def bare(model):
    return {name: tensor.contiguous() for name, tensor in model.backbone.state_dict().items()}


def test_what_a_file_does_not_say_is_not_put_into_its_mouth(model, bare):
    with pytest.raises(UserError) as raised:
        WarmStartHook().plan(model, bare, 'x.pth')
    words = str(raised.value)
    assert words.startswith("x.pth does not say what images it saw, and the pretraining shows others than ImageNet's; ")
    assert 'set model.data_preprocessor.mean=[123.675, 116.28, 103.53]' in words and '\n' not in words
    assert words.endswith('where it saw these, say that it should: --cfg-options ' + OPTION)
    _, transfer = WarmStartHook(same_images=False).plan(model, bare, 'x.pth')
    assert len(transfer.loaded) == len(bare)


def test_other_channels_do_not_hide_a_stride_elsewhere(model, bare):
    bare['conv1.weight'] = bare['conv1.weight'].repeat(1, 2, 1, 1)
    WarmStartHook(widen=True).plan(model, bare, 'resnet18.pth')
    with pytest.raises(UserError, match=r'resnet18_caffe\.pth is caffe-style'):
        WarmStartHook(widen=True).plan(model, bare, 'resnet18_caffe.pth')
    check_shown(model, Origin(mean=(1.0,) * 6, std=(1.0,) * 6, channels=6), 'x.pth', other_channels=True)


def test_whoever_starts_the_run_weights_are_read_alike(bare, tmp_path):
    """Without tools/train.py, too, which would guard the loading itself."""
    from mmengine.runner import CheckpointLoader

    save_file(bare, tmp_path / 'x.safetensors')
    WarmStartHook()
    checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / 'x.safetensors'))
    assert checkpoint['state_dict'].keys() == bare.keys()


@pytest.mark.parametrize('fetched', [True, False])
def test_a_checkpoint_says_where_the_weights_are_from(model, bare, tmp_path, fetched):
    torch.save(bare, tmp_path / 'x.pth')
    source = 'torchvision://resnet18' if fetched else str(tmp_path / 'x.pth')
    said = []
    runner = SimpleNamespace(
        model=model, _resume=False, _load_from=source, logger=SimpleNamespace(info=said.append), iter=0
    )
    hook = WarmStartHook(same_images=False)
    hook.after_load_checkpoint(runner, dict(bare))
    assert hook.began['file'] == (source if fetched else 'x.pth') and (hook.began['sha256'] is None) == fetched
    assert 'None' not in said[0] and "taken for ImageNet's, RGB; if it saw others" in said[0]


def test_a_part_to_freeze_may_be_given_as_a_word(tiny_model_cfg):
    assert MODELS.build(tiny_model_cfg | {'frozen': 'backbone'}).frozen == ('backbone',)
