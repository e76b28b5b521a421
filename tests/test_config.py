from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import EMAHook, EmptyCacheHook
from mmengine.runner import Runner

from mmsoco.config import MMENGINE_HOOKS, is_pretraining, present_keys, read_config, settle_hooks
from mmsoco.errors import UserError


def test_missing_config():
    with pytest.raises(UserError, match=r'nothing.py does not exist; configs are in configs/'):
        read_config('nothing.py')


def test_work_folder_is_named_after_the_config(recipe):
    assert read_config(recipe).work_dir == 'work_dirs/soco_r50fpn_8xb256_400e_in1k'
    assert read_config(recipe, work_dir='here').work_dir == 'here'


def test_hooks_of_a_config_that_inherits_ours(root, tmp_path):
    """A hook in ``custom_hooks`` replaces the named one of its type, None takes one away, and the others stay."""
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = '{root}/configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'\n"
        "custom_hooks = [dict(type='mmsoco.TransferHook', leave=['neck.']), dict(type='CheckpointHook', interval=7)]\n"
        'default_hooks = dict(precise_bn=None, timer=None)\n'
    )
    cfg = Config.fromfile(config)
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


@pytest.mark.parametrize(
    ('config', 'former', 'present'),
    [
        ('soco/soco_r50fpn_8xb256_100e_in1k', 'custom_hooks.3.interval', 'default_hooks.health.interval'),
        ('own/100-pictures_cpu', 'custom_hooks.4.interval', 'default_hooks.probe.interval'),
        ('transfer/coco/mask-rcnn_r50fpn_soco_1x', 'custom_hooks.1.num_iters', 'default_hooks.precise_bn.num_iters'),
        (
            'soco/soco_r50fpn_8xb256_100e_in1k',
            'train_dataloader.dataset.pipeline.1.views.2.size',
            'train_dataloader.dataset.pipeline.multi_view.views.v3.size',
        ),
        ('transfer/coco/mask-rcnn_r50fpn_soco_1x', 'param_scheduler.1.end', 'param_scheduler.1.end'),
        ('soco/soco_r50fpn_8xb256_100e_in1k', 'model.backbone.depth', 'model.backbone.depth'),
    ],
)
def test_options_by_position_as_earlier_versions_had_them(root, config, former, present):
    path = root / f'configs/{config}.py'
    assert present_keys(Config.fromfile(path), {former: 7}) == {present: 7}
    node = read_config(path, {former: 7})
    for name in present.split('.'):
        node = node[int(name) if name.isdigit() else name]
    assert node == 7


def test_arguments_by_their_former_names(root):
    """An option sets what the config has under the present one."""
    cfg = read_config(root / 'configs/own/100-pictures_cpu.py', {'custom_hooks.4.pictures': 7})
    assert cfg.default_hooks.probe.images == 7 and 'pictures' not in cfg.default_hooks.probe
    listed = [dict(type='mmsoco.TransferHook', same_pictures=False)]
    cfg = read_config(root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py', {'custom_hooks': listed})
    assert cfg.custom_hooks[0].same_images is False


def test_positions_that_there_are_not(recipe):
    for key in ('custom_hooks.9.interval', 'train_dataloader.dataset.pipeline.3.x'):
        with pytest.raises(UserError, match=r'what is there has names, (target_update|load)'):
            read_config(recipe, {key: 1})


@pytest.mark.parametrize(
    ('model', 'scope', 'expected'),
    [
        ('SoCoAlgorithm', 'mmsoco', True),
        ('mmsoco.JointSoCo', 'mmdet', True),
        ('MaskRCNN', 'mmdet', False),
        ('NoSuchModel', 'mmdet', False),
        (None, 'mmsoco', False),
    ],
)
def test_a_pretraining_is_known_by_its_models_class(model, scope, expected):
    """Not by what else a config says."""
    cfg = Config(dict(default_scope=scope, total_batch_size=8))
    if model:
        cfg.model = dict(type=model)
    assert is_pretraining(cfg) is expected
