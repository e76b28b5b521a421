from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook, EmptyCacheHook
from mmengine.runner import Runner

from mmsoco.engine.launch import (
    MMENGINE_HOOKS,
    newest_checkpoint,
    prepare_processes,
    read_config,
    set_amp,
    settle_hooks,
    train,
)
from mmsoco.errors import UserError


def test_missing_config():
    with pytest.raises(UserError, match=r'nothing.py does not exist; configs are in configs/'):
        read_config('nothing.py')


def test_work_folder_is_named_after_the_config(recipe):
    assert read_config(recipe).work_dir == 'work_dirs/soco_r50fpn_8xb256_400e_in1k'
    assert read_config(recipe, work_dir='here').work_dir == 'here'


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
def test_without_cuda_the_switches_for_gpus_go_and_it_is_said(recipe):
    cfg = Config.fromfile(recipe)
    notes = prepare_processes(cfg, 'none')
    assert 'sync_bn' not in cfg
    assert notes == ['no CUDA: BN is not synchronised over processes']
    assert set_amp(cfg, None) == [] and cfg.optim_wrapper.type == 'FiniteOptimWrapper'


@pytest.mark.parametrize('amp', [None, True])
def test_with_cuda_pretraining_is_in_mixed_precision(recipe, monkeypatch, amp):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config.fromfile(recipe)
    assert set_amp(cfg, amp) == ['mixed precision: float16 with loss scaling']
    assert cfg.optim_wrapper.type == 'mmsoco.FiniteAmpOptimWrapper'
    assert set_amp(cfg, False) == ['full precision'] and cfg.optim_wrapper.type == 'mmsoco.FiniteOptimWrapper'
    assert prepare_processes(cfg, 'none') == [] and cfg.sync_bn == 'torch'


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
def test_slurm_needs_cuda(recipe):
    with pytest.raises(UserError, match='launcher slurm needs CUDA'):
        prepare_processes(Config.fromfile(recipe), 'slurm')


def test_accumulation_is_refused_where_it_would_change_the_recipe(root, tmp_path):
    config = root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'
    with pytest.raises(UserError, match='--accumulate is for pretraining'):
        train(config, str(tmp_path / 'out'), accumulate=4)


def test_total_batch_that_does_not_divide(recipe, tiny_options, tmp_path):
    with pytest.raises(UserError, match='total_batch_size 4 does not divide into 1 processes x 3'):
        train(recipe, str(tmp_path / 'out'), amp=False, accumulate=3, options=tiny_options)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('resume', ['gone.pth', None])
def test_missing_checkpoint(recipe, tiny_options, tmp_path, resume):
    if resume is None:
        tiny_options['load_from'] = 'gone.pth'
    with pytest.raises(UserError, match=r'gone.pth does not exist; give a checkpoint'):
        train(recipe, str(tmp_path / 'out'), resume=resume, amp=False, options=tiny_options)


def test_resume_survives_moving_the_folder_and_names_what_is_missing(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth')
    with pytest.raises(UserError, match=r'names epoch_3.pth, which is not there'):
        newest_checkpoint(tmp_path)
    (tmp_path / 'epoch_3.pth').touch()
    assert newest_checkpoint(tmp_path) == str(tmp_path / 'epoch_3.pth')


def test_fewer_images_than_a_batch(recipe, tiny_options, tmp_path):
    with pytest.raises(UserError, match='8 images are less than one batch of 16'):
        train(recipe, str(tmp_path), amp=False, options={**tiny_options, 'total_batch_size': 16})


def test_seed_reaches_images_and_samples(recipe, tiny_options, tmp_path):
    runner = train(recipe, str(tmp_path), amp=False, options={**tiny_options, 'randomness.seed': 7})
    assert runner.train_dataloader.dataset.seed == 7
    assert runner.train_dataloader.sampler.seed == 7


def test_hooks_of_a_config_that_inherits_ours(root, tmp_path):
    """A hook in ``custom_hooks`` replaces the named one of its type, None takes one away, and the others stay."""
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = '{root}/configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'\n"
        "custom_hooks = [dict(type='mmsoco.TransferHook', leave=['neck.']), dict(type='CheckpointHook', interval=7)]\n"
        'default_hooks = dict(precise_bn=None, timer=None)\n'
    )
    cfg = read_config(config)
    before = cfg.default_hooks.to_dict()
    settle_hooks(cfg)
    assert {*before} - {*cfg.default_hooks} == {'transfer', 'precise_bn'}
    assert [hook.type for hook in cfg.custom_hooks] == ['mmsoco.TransferHook', 'CheckpointHook']
    # mmengine's own names are left to it.
    assert cfg.default_hooks.timer is None and cfg.default_hooks.checkpoint.type == 'mmsoco.CheckpointHook'


def test_hooks_by_class_and_object():
    cfg = Config(dict(default_hooks=dict(mine=dict(type='mmdet.EMAHook'), other=dict(type=EmptyCacheHook))))
    settle_hooks(cfg)
    assert {*cfg.default_hooks} == {'mine', 'other'}
    cfg.custom_hooks = [dict(type=EMAHook), EmptyCacheHook()]
    settle_hooks(cfg)
    assert not cfg.default_hooks


def test_names_of_mmengine():
    """The Runner knows no others, and these."""
    registered = []
    runner = SimpleNamespace(register_hook=registered.append)
    Runner.register_default_hooks(runner, dict.fromkeys(MMENGINE_HOOKS))
    assert registered == []
