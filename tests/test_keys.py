import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS
from torch.optim import SGD

from mmsoco.errors import UserError
from mmsoco.keys import arguments_of, check_options, unread_keys


@pytest.fixture
def cfg(recipe):
    return Config.fromfile(recipe)


def written(tmp_path, text, base=None):
    (tmp_path / 'base.py').write_text(base or '')
    (tmp_path / 'config.py').write_text("_base_ = './base.py'\n" + text)
    return Config.fromfile(tmp_path / 'config.py')


def test_keys_that_nothing_reads(tmp_path):
    """A variable that another line takes is read; bases may offer more than is taken."""
    text = 'lr = 1\ncolor = 2\nnothing = 3\noptim_wrapper = dict(lr=lr, a=_base_.taken)\n'
    cfg = written(tmp_path, text, base='taken = 1\noffered = 2\n')
    assert unread_keys(cfg) == ['color', 'nothing']
    (tmp_path / 'config.json').write_text('{"model": {},\n "foo": 1,\n "bar": 2}')
    assert unread_keys(Config.fromfile(tmp_path / 'config.json')) == ['foo', 'bar']


@pytest.mark.parametrize('place', ['own', 'base'])
def test_a_slip_in_a_file_is_refused(tmp_path, place):
    slip = 'val_evaluater = dict()\n'
    cfg = written(tmp_path, slip if place == 'own' else '', base=slip if place == 'base' else '')
    with pytest.raises(UserError, match='nothing reads val_evaluater; did you mean val_evaluator'):
        unread_keys(cfg)


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('total_batchsize', 8, 'nothing reads total_batchsize; did you mean total_batch_size'),
        ('norm_cfg.eps', 1, r'norm_cfg was used while .* set model\.backbone\.norm_cfg\.eps, model\.'),
        ('model.backbone.dept', 1, 'model.backbone has no dept; did you mean depth'),
        ('model.backbone', dict(dept=1), 'model.backbone has no dept; did you mean depth'),
        ('model.backbone.depth.x', 1, 'model.backbone.depth is 50, and has no x'),
        ('model.type', 'SoCoAlgoritm', 'model.type: there is no SoCoAlgoritm; did you mean SoCoAlgorithm'),
        ('visualizer.vis_backends.type', 1, r'is a list of 2; .* such as visualizer.vis_backends.0.type'),
        ('visualizer.vis_backends.5.type', 1, 'it has no 5'),
        ('default_hooks.heallth', None, 'default_hooks has no heallth to leave out; did you mean health'),
        ('a..b', 1, 'empty name'),
        ('', 1, 'empty name'),
    ],
)
def test_options_without_an_effect(cfg, key, value, words):
    with pytest.raises(UserError, match=words):
        check_options(cfg, {key: value})


def test_an_option_and_a_part_of_it(cfg):
    with pytest.raises(UserError, match=r'the options set depth of model\.depth\.x as a whole, too'):
        check_options(cfg, {'model.depth': 1, 'model.depth.x': 1})


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('model.backbone.frozen_stages', 1),  # an argument that the config leaves at its default
        ('model.backbone.norm_cfg.eps', 1e-3),
        ('default_hooks.health2', dict(type='HealthHook')),  # a new entry
        ('default_hooks.timer', None),
        ('default_hooks.probe.pictures', 3),  # a former name; the hook is refused later, as it has no type
        ('train_dataloader.drop_last', True),
        ('sync_bn', None),
        ('compile', True),
        ('tta_model', dict(type='DetTTAModel')),
        ('optim_wrapper.optimizer', dict(_delete_=True, type='AdamW', betas=(0.9, 0.95))),
        ('optim_wrapper.paramwise_cfg.custom_keys.backbone', dict(lr_mult=0.1)),
        ('train_dataloader.dataset.pipeline.multi_view.views.v9', dict(size=64)),
        ('model.type', 'JointSoCo'),
    ],
)
def test_options_with_one(cfg, key, value):
    check_options(cfg, {key: value})


def test_arguments_of_what_a_config_names():
    assert {'depth', 'frozen_stages', 'init_cfg'} <= arguments_of('mmdet.ResNet', 'mmsoco')
    assert {'max_keep_ckpts', 'by_epoch'} <= arguments_of('CheckpointHook', 'mmsoco')
    # A class itself, and former names.
    assert 'momentum' in arguments_of(SGD, None)
    assert {'pictures', 'images'} <= arguments_of('ProbeHook', 'mmsoco')
    assert arguments_of('NoSuchClass', 'mmsoco') == set()
    assert HOOKS.get('CheckpointHook').__module__.startswith('mmengine')
