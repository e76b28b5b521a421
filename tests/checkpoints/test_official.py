"""The official code's checkpoints: every tensor, momentum and epoch, there and back."""

import argparse
import pickle

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from official_model import OfficialC4, OfficialFPN

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.files import load
from mmsoco.checkpoints.official import convert, from_official, to_official
from mmsoco.engine import PretrainOptimConstructor
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

#: They build whole models again and again.
pytestmark = pytest.mark.slow

CONFIGS = {'fpn': 'soco_r50fpn_8xb256_100e_in1k', 'c4': 'soco_r50c4_8xb256_100e_in1k'}
HIDDEN = 8


def official_optimizer(model):
    """As the official code groups and numbers parameters, with a momentum of its own for each."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        dict(params=[p for p in trainable if p.ndim == 1], weight_decay=0, ignore=True),
        dict(params=[p for p in trainable if p.ndim != 1], weight_decay=1e-5, ignore=False),
    ]
    optimizer = torch.optim.SGD(groups, lr=8.0, momentum=0.9)
    for p in trainable:
        p.grad = torch.randn_like(p)
    optimizer.step()
    return optimizer


@pytest.fixture(params=['fpn', 'c4'])
def kind(request):
    return request.param


@pytest.fixture
def theirs(kind):
    """The official model and its optimizer, after a step."""
    torch.manual_seed(0)
    model = (OfficialFPN if kind == 'fpn' else OfficialC4)((('v1', 'v2'),), HIDDEN)
    return model, official_optimizer(model)


@pytest.fixture
def official(theirs):
    """A checkpoint as the official code saves it."""
    model, optimizer = theirs
    return {
        'opt': argparse.Namespace(model='SoCo', crop=0.5, cutout_ratio=(0.1, 0.2), aware_range=[48, 96], zip=True),
        'model': {f'module.{name}': tensor for name, tensor in model.state_dict().items()},
        'optimizer': optimizer.state_dict(),
        'scheduler': {'last_epoch': 1875, 'base_lrs': [8.0, 8.0], 'after_scheduler': {'T_max': 56250}},
        'epoch': 3,
        'amp': {'loss_scaler0': {'loss_scale': 65536.0, 'unskipped': 7}},
    }


@pytest.fixture
def small(official):
    """The same, of every tensor one number."""

    def first(value):
        if isinstance(value, torch.Tensor):
            return value[(slice(0, 1),) * value.ndim].clone()
        return {key: first(item) for key, item in value.items()} if isinstance(value, dict) else value

    return first(official)


def our_model(root, kind):
    cfg = Config.fromfile(root / f'configs/soco/{CONFIGS[kind]}.py')
    cfg.merge_from_dict({'model.projector.hid_channels': HIDDEN, 'model.predictor.hid_channels': HIDDEN})
    with DefaultScope.overwrite_default_scope('mmsoco'):
        return MODELS.build(cfg.model)


def assert_same(a, b, where='checkpoint'):
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f'{where}.{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f'{where}.{i}')
    else:
        assert a == b, where


def test_every_tensor_and_momentum_arrives(root, kind, theirs, official, tmp_path):
    torch.save(official, tmp_path / 'in.pth')
    table = convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert 'backbone' in table and 'epochs done: 3' in table
    checkpoint = torch.load(tmp_path / 'out.pth', weights_only=True)
    assert checkpoint['meta']['epoch'] == 3 and checkpoint['meta']['iter'] == 3 * 625

    model = our_model(root, kind)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='LARS', lr=1.0, weight_decay=1e-5))
    optimizer = PretrainOptimConstructor(wrapper)(model)
    optimizer.load_state_dict(checkpoint['optimizer'])
    theirs, their_optimizer = theirs
    # Which of their parameters is which of ours, without relying on any order: give each its momentum as its weight.
    momenta = {f'module.{name}': their_optimizer.state[p]['momentum_buffer'] for name, p in theirs.named_parameters()
               if p.requires_grad}  # fmt: skip
    expected = from_official({'model': {**official['model'], **momenta}, 'epoch': 0}, 'x')['state_dict']
    online = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(online) == len(momenta)
    for name, p in online.items():
        assert torch.equal(optimizer.optimizer.state[p]['momentum_buffer'], expected[name]), name
    vectors, matrices = optimizer.optimizer.param_groups
    assert (vectors['lr'], vectors['momentum'], vectors['weight_decay'], vectors['adapt']) == (8.0, 0.9, 0, False)
    assert (matrices['weight_decay'], matrices['trust'], matrices['eps'], matrices['adapt']) == (1e-5, 1e-3, 1e-8, True)


def test_there_and_back_is_without_loss(official, tmp_path):
    torch.save(official, tmp_path / 'in.pth')
    convert(tmp_path / 'in.pth', tmp_path / 'ours.pth')
    convert(tmp_path / 'ours.pth', tmp_path / 'back.pth', reverse=True)
    back = load(tmp_path / 'back.pth', allow=[argparse.Namespace])
    for name in ('model', 'scheduler', 'epoch', 'amp'):
        assert_same(official[name], back[name], name)
    assert back['opt'] == official['opt']
    assert_same(official['optimizer']['state'], back['optimizer']['state'])
    for theirs, ours in zip(official['optimizer']['param_groups'], back['optimizer']['param_groups'], strict=True):
        assert {key: theirs[key] for key in ours} == ours


def test_without_the_prefix_of_ddp(official):
    bare = {name.removeprefix('module.'): tensor for name, tensor in official['model'].items()}
    assert_same(
        from_official({'model': bare, 'epoch': 3}, 'x')['state_dict'], from_official(official, 'x')['state_dict']
    )


def test_official_model_loads_what_mmsoco_trained(root, kind):
    """Also without anything kept from an official file, the unused queue of C4 included."""
    ours = our_model(root, kind)
    official = to_official({'state_dict': ours.state_dict(), 'meta': {'epoch': 2}}, 'x')
    theirs = (OfficialFPN if kind == 'fpn' else OfficialC4)((('v1', 'v2'),), HIDDEN)
    theirs.load_state_dict({name.removeprefix('module.'): t for name, t in official['model'].items()}, strict=True)
    assert torch.equal(theirs.projector_k.linear2.weight, ours.target.projector.fc1.weight)
    assert official['epoch'] == 2 and official['opt'].amp_opt_level == 'O0'


@pytest.mark.slow
def test_training_goes_on_as_if_never_converted(recipe, tiny_options, tmp_path):
    """A run's first epoch through the official format and back: its second epoch is the same to the last bit."""
    train(recipe, str(tmp_path / 'whole'), amp=False, options=tiny_options)
    convert(tmp_path / 'whole/epoch_1.pth', tmp_path / 'official.pth', reverse=True)
    convert(tmp_path / 'official.pth', tmp_path / 'ours.pth')
    # ImageNet's steps an epoch, in the file, give way to those of the eight images.
    assert torch.load(tmp_path / 'ours.pth', weights_only=True)['meta']['iter'] == 625
    train(recipe, str(tmp_path / 'again'), resume=str(tmp_path / 'ours.pth'), amp=False, options=tiny_options)
    whole, again = (torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True) for name in ('whole', 'again'))
    assert again['meta']['iter'] == whole['meta']['iter'] == 4
    assert_same(dict(whole['state_dict']), dict(again['state_dict']))
    assert_same(whole['optimizer']['state'], again['optimizer']['state'])


def test_extraction_reads_it(small, tmp_path):
    torch.save(small, tmp_path / 'in.pth')
    convert(tmp_path / 'in.pth', tmp_path / 'ours.pth')
    extract(tmp_path / 'ours.pth', tmp_path / 'detector.pth')
    taken = torch.load(tmp_path / 'detector.pth', weights_only=True)['state_dict']
    assert torch.equal(taken['backbone.conv1.weight'], small['model']['module.encoder.conv1.weight'])


class Malicious:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def rejected(tmp_path, content, words, reverse=False):
    torch.save(content, tmp_path / 'bad.pth')
    with pytest.raises(UserError, match=words) as error:
        convert(tmp_path / 'bad.pth', tmp_path / 'out.pth', reverse)
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'out.pth').exists()


def test_code_is_refused(small, tmp_path):
    rejected(tmp_path, {**small, 'opt': Malicious(tmp_path / 'made')}, 'no checkpoint of tensors and plain values')
    assert not (tmp_path / 'made').exists()
    # A Namespace is what an official file may hold; a checkpoint of mmsoco's own holds none.
    rejected(tmp_path, small, 'no checkpoint of tensors and plain values', reverse=True)
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps(small['epoch']))
    with pytest.raises(UserError):
        convert(tmp_path / 'plain.pth', tmp_path / 'out.pth')


def renamed(official, change):
    """The file with other names in its model; a name that becomes None is dropped."""
    return {**official, 'model': {new: t for name, t in official['model'].items() if (new := change(name))}}


def test_what_is_no_official_checkpoint(small, kind, tmp_path):
    rejected(tmp_path, {'state_dict': {}}, "should hold the weights under 'model', but holds state_dict")
    rejected(tmp_path, {'model': {1: torch.zeros(1)}}, "should hold the weights under 'model'")
    extra = {**small['model'], 'module.head_2d.weight': torch.zeros(1)}
    rejected(tmp_path, {**small, 'model': extra}, r'also holds head_2d\.weight')
    without = renamed(small, lambda name: None if '.predictor.' in name else name)
    rejected(tmp_path, without, r'lacks predictor\.bn1\.bias \(9 such names\)')
    online_only = renamed(small, lambda name: None if 'encoder.layer3' in name else name)
    rejected(tmp_path, online_only, r'lacks encoder\.layer3')
    if kind == 'fpn':
        other = renamed(small, lambda name: name.replace('neck.lateral_convs', 'neck.lateral'))
        rejected(tmp_path, other, r'lacks neck\.lateral_convs')
    rejected(tmp_path, {'state_dict': {'conv1.weight': torch.zeros(1)}}, 'not a checkpoint of a SoCo', reverse=True)


@pytest.mark.parametrize('epoch', ['100', -1, True, 3.0, None])
def test_an_epoch_that_is_none(small, epoch, tmp_path):
    rejected(tmp_path, {**small, 'epoch': epoch}, 'should say how many epochs are done')


def test_models_that_the_official_code_does_not_have(root, tmp_path):
    """Table 4's first rows have neither FPN nor C4's head."""
    cfg = Config.fromfile(root / 'configs/ablation/table4_row2_selective-search.py')
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmsoco'):
        state_dict = dict(MODELS.build(cfg.model).state_dict())
    with pytest.raises(UserError, match='is not a C4 model of the official SoCo code: it lacks'):
        to_official({'state_dict': state_dict}, 'x')


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda o: None, 'holds no state and param_groups'),
        (lambda o: {'state': o['state']}, 'holds no state and param_groups'),
        (lambda o: {**o, 'param_groups': [{k: v for k, v in g.items() if k != 'ignore'} for g in o['param_groups']]},
         'has a group without ignore'),
        (lambda o: {**o, 'param_groups': o['param_groups'][:1]}, 'optimizer has groups of'),
        (lambda o: {**o, 'state': {9999: o['state'][0]}}, 'a state for parameter 9999'),
        (lambda o: {**o, 'state': dict(zip(o['state'], reversed(o['state'].values()), strict=True))},
         'its parameters are numbered in another order'),
    ],
)  # fmt: skip
def test_optimizers_that_do_not_fit(small, change, words, tmp_path):
    rejected(tmp_path, {**small, 'optimizer': change(small['optimizer'])}, words)


def test_namespaces_inside_and_what_else_is_there(small):
    nested = argparse.Namespace(model='x', inner=argparse.Namespace(a=1))
    checkpoint = from_official({**small, 'opt': nested, 'sampler': {}}, 'x')
    assert checkpoint['official']['opt'] == {'model': 'x', 'inner': {'a': 1}}
    assert 'sampler' not in checkpoint['official']
    assert 'optimizer' not in from_official({key: small[key] for key in ('model', 'epoch')}, 'x')


def test_a_truncated_file(small, tmp_path):
    torch.save(small, tmp_path / 'whole.pth')
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:-1000])
    with pytest.raises(UserError, match=r'cut.pth is cut short; copy it again'):
        convert(tmp_path / 'cut.pth', tmp_path / 'out.pth')
    with pytest.raises(UserError, match=r'should end in \.pth'):
        convert(tmp_path / 'whole.pth', tmp_path / 'out.pkl')
    with pytest.raises(UserError, match='is the file to convert'):
        convert(tmp_path / 'whole.pth', tmp_path / 'whole.pth')
