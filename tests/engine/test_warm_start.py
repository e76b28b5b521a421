"""Runs that begin from weights of other tools."""

import hashlib
import json

import pytest
import torch
from foreign_weights import resnet18
from safetensors.torch import save_file

from mmsoco.config import has_hook, read_config
from mmsoco.engine.launch import train
from mmsoco.engine.warm_start import settle_init
from mmsoco.errors import UserError


@pytest.fixture
def options(tiny_options):
    """The tiny recipe with torchvision's widths in its backbone; two steps."""
    widths = {'base_channels': 64, 'stem_channels': 64}
    return (
        tiny_options
        | {f'model.backbone.{key}': value for key, value in widths.items()}
        | {
            'model.neck.in_channels': [64, 128, 256, 512],
            'train_cfg.max_epochs': 1,
        }
    )


@pytest.fixture(scope='session')
def imagenet():
    return resnet18().state_dict()


@pytest.fixture
def weights(imagenet, tmp_path):
    torch.save(imagenet, tmp_path / 'resnet18.pth')
    return tmp_path / 'resnet18.pth'


@pytest.fixture
def trained(recipe, options, tmp_path):
    """Train in a folder of a name, and return the Runner and the last checkpoint."""

    def run(name, *, more=None, **arguments):
        runner = train(recipe, str(tmp_path / name), amp=False, options=options | (more or {}), **arguments)
        newest = (tmp_path / name / 'last_checkpoint').read_text()
        return runner, torch.load(newest, weights_only=True)

    return run


@pytest.mark.slow
def test_a_frozen_backbone_stays_to_the_bit_and_all_else_learns(trained, weights, imagenet, tmp_path):
    runner, saved = trained('out', init=str(weights), freeze=['backbone'])
    state = saved['state_dict']
    for name, tensor in imagenet.items():
        if not name.startswith('fc.'):
            assert torch.equal(state[f'backbone.{name}'], tensor)
            assert torch.equal(state[f'target.backbone.{name}'], tensor)
    assert not torch.equal(state['neck.fpn_convs.0.conv.weight'], state['target.neck.fpn_convs.0.conv.weight'])
    assert state['neck.fpn_convs.0.bn.num_batches_tracked'] > 0
    held = {id(p) for group in runner.optim_wrapper.param_groups for p in group['params']}
    model = runner.model
    assert held.isdisjoint(id(p) for p in model.backbone.parameters())
    assert held >= {id(p) for p in model.neck.parameters()}
    assert all(p.grad is None for p in model.backbone.parameters())
    model.train()
    frozen = [model.backbone, model.target.backbone]
    assert not any(module.training for part in frozen for module in part.modules()) and model.neck.training
    # The target began as a copy.
    assert json.loads((tmp_path / 'out/record_0.json').read_text())['steps'][0]['target_is_online']
    assert saved['meta']['init'] == {
        'file': 'resnet18.pth',
        'sha256': hashlib.sha256(weights.read_bytes()).hexdigest(),
        'kind': 'a backbone (ResNet)',
        'loaded': ['backbone.'],
    }
    (log,) = (tmp_path / 'out').glob('*/*.log')
    text = log.read_text()
    assert 'Begins from resnet18.pth (SHA-256 ' in text and 'does not say what images it saw' in text
    assert 'new: not part of these weights' in text and 'do not match exactly' not in text


@pytest.mark.slow
def test_a_lower_rate_for_what_is_loaded_also_of_a_run_that_goes_on(trained, weights, imagenet, tmp_path):
    save_file(imagenet, tmp_path / 'resnet18.safetensors')
    arguments = dict(init=str(tmp_path / 'resnet18.safetensors'), loaded_lr=0.1)
    runner, saved = trained('out', more={'train_cfg.max_epochs': 2}, **arguments)

    def rates(runner):
        model = runner.model
        of = {id(p): group['lr'] for group in runner.optim_wrapper.param_groups for p in group['params']}
        return {of[id(p)] for p in model.backbone.parameters()}, {of[id(p)] for p in model.neck.parameters()}

    (slow,), (fast,) = rates(runner)
    assert slow == pytest.approx(fast / 10) and fast > 0
    assert saved['meta']['init']['file'] == 'resnet18.safetensors'
    # The same command again goes on, and needs the weights no more.
    (tmp_path / 'out/epoch_2.pth').unlink()
    (tmp_path / 'out/last_checkpoint').unlink()
    (tmp_path / 'resnet18.safetensors').unlink()
    again, resaved = trained('out', more={'train_cfg.max_epochs': 2}, resume='auto', **arguments)
    assert again.iter == 4 and rates(again) == rates(runner)
    assert resaved['meta']['init'] == saved['meta']['init']
    for name, tensor in saved['state_dict'].items():
        assert torch.equal(resaved['state_dict'][name], tensor)
    for other, words in ((dict(loaded_lr=0.2), 'loaded_lr 0.1, not 0.2'), (dict(freeze=['backbone']), 'model.frozen')):
        with pytest.raises(UserError, match=words):
            trained('out', more={'train_cfg.max_epochs': 2}, resume='auto', **other)


@pytest.mark.slow
def test_an_earlier_run_on_other_images(trained, tmp_path):
    """At next to no rate nothing moves, so that what is saved is what was loaded, and the target its copy."""
    _, first = trained('first')
    still = {'load_from': str(tmp_path / 'first/epoch_1.pth'), 'optim_wrapper.optimizer.lr': 1e-30}
    _, saved = trained('second', more=still)
    assert saved['meta']['init']['kind'] == 'a SoCo pretraining'
    assert set(saved['meta']['init']['loaded']) == {'backbone.', 'neck.', 'roi_head.', 'projector.', 'predictor.'}
    online = {n: t for n, t in first['state_dict'].items() if not n.startswith('target.')}
    learned = [n for n in online if n.rpartition('.')[2] in ('weight', 'bias')]
    for name in learned:
        assert torch.allclose(saved['state_dict'][name], online[name], rtol=0, atol=1e-12)
    name = 'neck.fpn_convs.0.conv.weight'
    assert not torch.equal(first['state_dict'][f'target.{name}'], online[name])
    assert torch.allclose(saved['state_dict'][f'target.{name}'], online[name], rtol=0, atol=1e-12)


def config_text(**shown):
    shown = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True) | shown
    return f"model = dict(type='FasterRCNN', backbone=dict(type='ResNet'), data_preprocessor={shown!r})"


@pytest.mark.parametrize(
    ('change', 'arguments', 'words'),
    [
        ({}, dict(freeze=['backbone', 'neck', 'roi_head']), 'frozen is all that a detector takes'),
        ({}, dict(freeze=['backone']), 'there is no backone to freeze; the parts are backbone, neck'),
        ({}, dict(freeze=['neck']), 'neck is frozen, and nothing is loaded into it; give weights that have it'),
        ({}, dict(init=None, freeze=['backbone']), 'backbone is frozen, and nothing is loaded into it'),
        ({}, dict(init=None, loaded_lr=0.1), '--loaded-lr is of what is loaded, and nothing is'),
        ({}, dict(loaded_lr=0.0), 'loaded_lr is 0.0, a factor above 0'),
        ({}, dict(init=''), "--init '' is no file"),
        ({}, dict(init='gone.pth'), 'gone.pth does not exist'),
        ({'bgr_to_rgb': False, 'std': [1.0, 1.0, 1.0]}, {}, r'x\.pth is caffe-style .*give weights with style=pytorch'),
        (
            {'mean': [127.5, 127.5, 127.5]},
            {},
            r'set model\.data_preprocessor\.mean=\[127\.5, 127\.5, 127\.5\] and std=',
        ),
        ('layer3.0.bn1.weight', {}, r'backbone\.layer3\.0\.bn1\.weight of the model is not in these weights'),
        ('layer3.0.bn1.weight', dict(loaded_lr=0.1), r'backbone\.layer3\.0\.bn1\.weight of the model is not in'),
    ],
)
def test_what_is_refused_in_one_line(trained, imagenet, tmp_path, change, arguments, words):
    state = dict(imagenet)
    meta = {}
    if isinstance(change, str):
        del state[change]
    else:
        meta = {'cfg': config_text(**change)} if change else {}
    named = {f'backbone.{name}': tensor for name, tensor in state.items() if not name.startswith('fc.')}
    torch.save({'state_dict': named, 'meta': meta}, tmp_path / 'x.pth')
    with pytest.raises(UserError, match=words) as raised:
        trained('out', **{'init': str(tmp_path / 'x.pth'), **arguments})
    assert '\n' not in str(raised.value)
    assert not list((tmp_path / 'out').glob('*.pth'))


@pytest.mark.slow
def test_weights_that_say_that_they_were_shown_the_same(trained, imagenet, tmp_path):
    named = {f'backbone.{name}': tensor for name, tensor in imagenet.items() if not name.startswith('fc.')}
    torch.save({'state_dict': named, 'meta': {'cfg': config_text(bgr_to_rgb=False)}}, tmp_path / 'bgr.pth')
    _, saved = trained('out', init=str(tmp_path / 'bgr.pth'), more={'default_hooks.warm_start.same_images': False})
    assert saved['meta']['init']['loaded'] == ['backbone.']


def test_mmdets_name_of_a_caffe_file_is_believed(trained, imagenet, tmp_path):
    torch.save(imagenet, tmp_path / 'resnet50_caffe-788b5fa3.pth')
    with pytest.raises(UserError, match=r'_caffe-788b5fa3\.pth is caffe-style'):
        trained('out', init=str(tmp_path / 'resnet50_caffe-788b5fa3.pth'))


def test_what_fetches_by_itself_is_not_what_may_be_frozen(trained, imagenet, tmp_path):
    """mmengine only warns where its init_cfg does not fit, and no checkpoint tells of it."""
    torch.save(imagenet, tmp_path / 'x.pth')
    init_cfg = dict(_delete_=True, type='Pretrained', checkpoint=str(tmp_path / 'x.pth'))
    with pytest.raises(UserError, match='backbone is frozen, and nothing is loaded into it'):
        trained('out', freeze=['backbone'], more={'model.backbone.init_cfg': init_cfg})
    (log,) = (tmp_path / 'out').glob('*/*.log')
    assert 'What init_cfg of backbone loads is not compared with the model, and no checkpoint' in log.read_text()


def test_a_rate_for_what_is_loaded_needs_our_constructor(recipe):
    cfg = read_config(recipe)
    cfg.optim_wrapper.constructor = 'mmsoco.PretrainOptimConstructor'
    settle_init(cfg, 'x.pth', loaded_lr=0.1)
    assert cfg.optim_wrapper.paramwise_cfg.loaded_lr == 0.1
    cfg.optim_wrapper.constructor = 'DefaultOptimWrapperConstructor'
    with pytest.raises(UserError, match=r"loaded_lr needs optim_wrapper\.constructor='PretrainOptimConstructor'"):
        settle_init(cfg)


def test_a_detector_gets_a_transfer_hook(root):
    config = root / 'configs/transfer/examples/faster-rcnn_r18fpn_cards_scratch.py'
    cfg = read_config(config)
    settle_init(cfg, None)
    assert not has_hook(cfg, 'TransferHook')
    settle_init(cfg, 'x.pth')
    assert cfg.load_from == 'x.pth' and has_hook(cfg, 'TransferHook')
    other = read_config(root / 'configs/transfer/examples/faster-rcnn_r18fpn_cards_soco.py')
    before = other.pretty_text
    settle_init(other, other.load_from)
    assert other.pretty_text == before
    with pytest.raises(UserError, match='--freeze and --loaded-lr are for pretraining'):
        settle_init(cfg, 'x.pth', freeze=['backbone'])
