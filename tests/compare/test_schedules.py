"""Longer schedules, and when they are evaluated."""

import pytest
from mmengine.config import Config, ConfigDict

from mmsoco.compare.schedules import evaluate_often, lengthen
from mmsoco.errors import UserError


def in_iterations():
    return Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=90000, val_interval=10000),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
                dict(type='MultiStepLR', by_epoch=False, begin=0, end=90000, milestones=[60000, 80000]),
            ],
            default_hooks=dict(
                precise_bn=dict(type='mmsoco.PreciseBNHook', interval=10000),
                checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto'),
            ),
        )
    )


def in_epochs():
    """mmdet's: a warm-up in iterations, a schedule in epochs."""
    return Config(
        dict(
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1, dynamic_intervals=[(10, 1)]),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
                dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11]),
            ],
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        )
    )


def test_one_time_changes_nothing():
    cfg = in_iterations()
    lengthen(cfg, 1)
    assert cfg.to_dict() == in_iterations().to_dict()


def test_all_but_the_warmup_is_stretched():
    cfg = in_iterations()
    lengthen(cfg, 2)
    # As configs/transfer/_base_/finetuning.py has it.
    assert cfg.train_cfg.max_iters == 180000
    warmup, drops = cfg.param_scheduler
    assert warmup == in_iterations().param_scheduler[0]
    assert (drops.end, drops.milestones) == (180000, [120000, 160000])


def test_epochs_are_stretched_beside_a_warmup_in_iterations():
    cfg = in_epochs()
    lengthen(cfg, 3)
    assert cfg.train_cfg.max_epochs == 36
    warmup, drops = cfg.param_scheduler
    assert warmup == in_epochs().param_scheduler[0] and (drops.end, drops.milestones) == (36, [24, 33])


def test_a_cosine_begins_where_the_warmup_ends():
    cfg = in_iterations()
    cfg.param_scheduler[1] = ConfigDict(type='CosineAnnealingLR', by_epoch=False, begin=1000, end=90000, T_max=89000)
    lengthen(cfg, 3)
    cosine = cfg.param_scheduler[1]
    assert (cosine.begin, cosine.end, cosine.T_max) == (1000, 270000, 269000)


def test_a_second_half_begins_later():
    # RTMDet and YOLOX: a constant rate, then a cosine.
    cfg = in_iterations()
    cfg.param_scheduler[1] = ConfigDict(type='CosineAnnealingLR', by_epoch=False, begin=45000, end=90000, T_max=45000)
    lengthen(cfg, 2)
    cosine = cfg.param_scheduler[1]
    assert (cosine.begin, cosine.end, cosine.T_max) == (90000, 180000, 90000)


def test_what_hooks_do_at_some_time_is_stretched():
    # RTMDet's and YOLOX's; what the hooks are saved by or log by is none of the schedule.
    cfg = in_epochs()
    cfg.default_hooks.logger = ConfigDict(type='LoggerHook', interval=50)
    cfg.custom_hooks = [
        ConfigDict(type='PipelineSwitchHook', switch_epoch=10, switch_pipeline=[]),
        ConfigDict(type='YOLOXModeSwitchHook', num_last_epochs=2),
        ConfigDict(type='EMAHook', begin_epoch=0, begin_iter=100),
    ]
    lengthen(cfg, 3)
    switch, mode, ema = cfg.custom_hooks
    assert (switch.switch_epoch, mode.num_last_epochs, ema.begin_epoch, ema.begin_iter) == (30, 6, 0, 300)
    assert cfg.default_hooks.logger.interval == 50 and cfg.default_hooks.checkpoint.interval == 1


def test_restarts_are_stretched_and_a_long_warmup_is_not():
    cfg = in_iterations()
    cfg.param_scheduler[0].end = 60000
    cfg.param_scheduler[1] = ConfigDict(type='CosineRestartLR', by_epoch=False, periods=[30000, 60000])
    lengthen(cfg, 2)
    assert cfg.param_scheduler[0].end == 60000 and cfg.param_scheduler[1].periods == [60000, 120000]


def test_what_has_no_length_is_refused():
    cfg = in_iterations()
    cfg.param_scheduler = dict(type='ExponentialLR', gamma=0.9)
    with pytest.raises(UserError, match='ExponentialLR has no length'):
        lengthen(cfg, 2)
    cfg.train_cfg = dict(type='MyLoop')
    with pytest.raises(UserError, match='has neither train_cfg'):
        lengthen(cfg, 2)


def test_evaluations_are_even_and_the_last_is_at_the_end():
    cfg = in_iterations()
    evaluate_often(cfg, 4)
    assert cfg.train_cfg.val_interval == cfg.default_hooks.precise_bn.interval == 22500
    saving = cfg.default_hooks.checkpoint
    assert (saving.type, saving.interval, saving.max_keep_ckpts, saving.get('save_best')) == (
        'mmsoco.CheckpointHook',
        22500,
        1,
        None,
    )
    cfg = in_epochs()
    evaluate_often(cfg, 5)
    assert cfg.train_cfg.val_interval == 3 and 'dynamic_intervals' not in cfg.train_cfg
    evaluate_often(cfg, 100)
    assert cfg.train_cfg.val_interval == 1 and cfg.default_hooks.checkpoint.by_epoch
