import pytest
import torch
from mmengine.config import Config

from mmsoco.engine import processes
from mmsoco.engine.hooks.step_seed import StepSeedHook
from mmsoco.engine.launch import (
    prepare_processes,
    settle,
    train,
)
from mmsoco.errors import UserError


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
@pytest.mark.parametrize('way', ['mmsoco', 'torch', None])
def test_without_cuda_bn_is_synchronised_by_ours(recipe, way):
    cfg = Config.fromfile(recipe)
    cfg.sync_bn = way
    assert prepare_processes(cfg, 'none') == []
    assert cfg.sync_bn == (way and 'mmsoco')


def test_with_cuda_they_stay(recipe, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(processes, 'try_device', lambda number: None)
    cfg = Config.fromfile(recipe)
    assert prepare_processes(cfg, 'none') == [] and cfg.sync_bn == 'mmsoco'


def test_a_card_that_cannot_be_used_ends_a_run_before_it_writes(recipe, tiny_options, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, 'try_device', lambda number: UserError('the card is broken'))
    with pytest.raises(UserError, match='the card is broken'):
        train(recipe, str(tmp_path / 'out'), options=tiny_options)
    monkeypatch.setattr('mmsoco.devices.why_unusable', lambda root: 'a GPU is there')
    with pytest.raises(UserError, match='a GPU is there; --device cpu'):
        train(recipe, str(tmp_path / 'out'), options=tiny_options)
    assert not (tmp_path / 'out').exists()


def test_the_rate_of_a_pretraining_goes_with_its_own_batch(recipe, tiny_options, tmp_path):
    with pytest.raises(UserError, match='--auto-scale-lr is for fine-tuning'):
        train(recipe, str(tmp_path / 'out'), options=tiny_options, auto_scale_lr=True)


def test_a_fine_tuning_with_another_batch(root):
    config = root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'
    cfg = Config.fromfile(config)
    with pytest.raises(UserError, match='made for 16 images a step, and these are 2 = 1 x 2; add --auto-scale-lr'):
        settle(cfg, amp=None, accumulate=1, progress=False)
    notes = settle(cfg, amp=None, accumulate=1, progress=False, auto_scale_lr=True)
    assert cfg.optim_wrapper.optimizer.lr == 0.0025 and any('scaled linearly from 0.02' in note for note in notes)


def test_keys_that_nothing_reads_are_in_the_log(recipe, tiny_options, tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{recipe}'\nnothing = 3\n")
    train(config, str(tmp_path / 'out'), amp=False, options={**tiny_options, 'train_cfg.max_epochs': 1})
    (log,) = (tmp_path / 'out').glob('*/*.log')
    assert 'Nothing reads nothing of the config' in log.read_text()


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


def test_fewer_images_than_a_batch(recipe, tiny_options, tmp_path):
    with pytest.raises(UserError, match='8 images are less than one batch of 16'):
        train(recipe, str(tmp_path), amp=False, options={**tiny_options, 'total_batch_size': 16})


def test_seed_reaches_images_and_samples(recipe, tiny_options, tmp_path):
    runner = train(recipe, str(tmp_path), amp=False, options={**tiny_options, 'randomness.seed': 7})
    assert runner.train_dataloader.dataset.seed == 7
    assert runner.train_dataloader.sampler.seed == 7
    # And to what a model draws.
    assert runner.seed == 7 and any(isinstance(hook, StepSeedHook) for hook in runner.hooks)
