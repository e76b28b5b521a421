import pytest
import torch
from mmengine.config import Config

from mmsoco.engine.launch import (
    LAUNCHERS,
    prepare_processes,
    set_amp,
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
    assert set_amp(cfg, None) == [] and cfg.optim_wrapper.type == 'FiniteOptimWrapper'


@pytest.mark.parametrize('amp', [None, True])
def test_with_cuda_pretraining_is_in_mixed_precision(recipe, monkeypatch, amp):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config.fromfile(recipe)
    assert set_amp(cfg, amp) == ['mixed precision: float16 with loss scaling']
    assert cfg.optim_wrapper.type == 'mmsoco.FiniteAmpOptimWrapper'
    assert set_amp(cfg, False) == ['full precision'] and cfg.optim_wrapper.type == 'mmsoco.FiniteOptimWrapper'
    assert prepare_processes(cfg, 'none') == [] and cfg.sync_bn == 'mmsoco'


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
def test_slurm_needs_cuda(recipe):
    with pytest.raises(UserError, match='launcher slurm needs CUDA'):
        prepare_processes(Config.fromfile(recipe), 'slurm')


@pytest.mark.parametrize(('launcher', 'cuda'), [('pytorch', False), ('pytorch', True), ('slurm', True), ('mpi', True)])
def test_processes_that_no_launcher_started(recipe, monkeypatch, launcher, cuda):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    for name in LAUNCHERS[launcher]:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=rf'{launcher} is for processes .* {LAUNCHERS[launcher][0]} set; start them by'):
        prepare_processes(Config.fromfile(recipe), launcher)


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
