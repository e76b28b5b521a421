from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import EMAHook, EmptyCacheHook
from mmengine.runner import Runner

from mmsoco.config import (
    MMENGINE_HOOKS,
    add_config_arguments,
    is_pretraining,
    present_keys,
    read_config,
    read_files,
    require,
    settle_hooks,
)
from mmsoco.errors import UserError


def test_missing_config():
    with pytest.raises(UserError, match=r'nothing.py does not exist; mmsoco configs lists those'):
        read_config('nothing.py')


@pytest.mark.parametrize(
    ('name', 'text', 'words'),
    [
        ('a.py', 'model = dict(\n', r"a.py cannot be read: line 1: '\(' was never closed"),
        ('a.py', "_base_ = './base.py'\n", r'a.py cannot be read: .*/base.py, line 1: NameError'),
        ('a.py', "_base_ = './a.py'\n", 'it inherits itself'),
        ('a.py', 'import no_such_package\nmodel = dict(type=no_such_package.X)\n', 'a.py cannot be read: .*no_such'),
        ('a.txt', '', 'is no config'),
        ('a.json', '{', 'a.json cannot be read: JSONDecodeError'),
    ],
)
def test_configs_that_cannot_be_read(tmp_path, name, text, words):
    (tmp_path / 'base.py').write_text('x = y\n')
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        read_config(tmp_path / name)
    with pytest.raises(UserError, match='is a folder'):
        read_config(tmp_path)


@pytest.mark.parametrize('option', ['a', 'a=[1,2', 'a=[1'])
def test_options_that_cannot_be_read(capsys, option):
    parser = ArgumentParser()
    add_config_arguments(parser)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(['config.py', '--cfg-options', 'b=1', option])
    assert stop.value.code == 2 and f'error: argument --cfg-options: {option}' in capsys.readouterr().err.replace(
        'a bracket of ', ''
    )


def test_options_as_mmengine_reads_them():
    parser = ArgumentParser()
    add_config_arguments(parser)
    args = parser.parse_args(['config.py', '--cfg-options', 'a.b=1', 'c=[1,(2,x)]', '--cfg-options', 'd=a=b'])
    assert args.cfg_options == {'a.b': 1, 'c': [1, (2, 'x')], 'd': 'a=b'}


def test_what_a_config_has_to_have():
    cfg = Config(dict(model=dict(type='A'), train_cfg={}, val_cfg=None), filename=__file__)
    require(cfg, 'model', 'train_cfg')
    with pytest.raises(UserError, match=r'test_config.py has no val_cfg, test_cfg; take'):
        require(cfg, 'model', 'val_cfg', 'test_cfg')
    for model in (3, dict(depth=3)):
        cfg.model = model
        with pytest.raises(UserError, match='has no model with a type'):
            require(cfg, 'model')


def test_files_that_a_test_reads(root):
    cfg = Config.fromfile(root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py')
    annotations = Path('data/coco/annotations/instances_val2017.json')
    assert Path(cfg.filename) in read_files(cfg) and annotations in read_files(cfg)


def test_an_options_module_is_imported_before_its_names_are_looked_for(recipe):
    options = {'custom_imports.imports': ['recording_hooks'], 'default_hooks.health.type': 'RecordHook'}
    assert read_config(recipe, options).default_hooks.health.type == 'RecordHook'


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


@pytest.mark.parametrize('name', ['own/100-pictures_cpu', 'transfer/coco/fcos_r50fpn_soco_1x'])
def test_a_config_inherits_ours_by_name_as_by_path(name, tmp_path):
    """With the same scopes: in ours, mmengine would look for mmdet's parts in vain."""
    (tmp_path / 'by_name.py').write_text(f"_base_ = 'mmsoco::{name}.py'\nmine = 1\n")
    inherited = read_config(tmp_path / 'by_name.py')
    assert inherited.pop('mine') == 1
    ours = read_config(f'mmsoco::{name}.py')
    assert inherited.pop('work_dir') == 'work_dirs/by_name' and ours.pop('work_dir') == f'work_dirs/{Path(name).name}'
    assert inherited.to_dict() == ours.to_dict()


def test_a_name_of_no_config_of_ours():
    with pytest.raises(UserError, match=r'mmsoco::own/x.py is no config of mmsoco; mmsoco configs lists them'):
        read_config('mmsoco::own/x.py')
