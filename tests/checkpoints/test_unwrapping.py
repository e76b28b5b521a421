import pytest
import torch

from mmsoco.checkpoints.unwrapping import models_in, unwrap
from mmsoco.errors import UserError

NAMES = ['backbone.conv1.weight', 'backbone.layer1.0.bn.bias', 'neck.w', 'target.backbone.conv1.weight', 'projector.w']


def state(prefix='', names=NAMES):
    """Each tensor with a value of its own."""
    return {prefix + name: torch.tensor(float(i)) for i, name in enumerate(names)}


def values(tensors):
    return {name: float(tensor) for name, tensor in tensors.items()}


@pytest.mark.parametrize('prefix', ['', 'module.', 'model.', '_orig_mod.', 'module._orig_mod.', 'net.online.'])
@pytest.mark.parametrize('container', ['state_dict', 'model', 'teacher', 'model_state_dict', 'weights', None])
def test_what_is_wrapped_around_the_same_tensors(prefix, container):
    content = state(prefix)
    if container:
        content = {container: content, 'optimizer': {'state': {0: {'step': torch.tensor(1)}}}, 'epoch': 3}
    unwrapped = unwrap(content, 'a.pth')
    assert values(unwrapped.tensors) == values(state()) and unwrapped.others == {}
    said = ' '.join(unwrapped.notes)
    assert (container in said) == (container not in ('state_dict', None)) if container else True
    assert bool(prefix) == ('taken off its names' in said)


def test_wrappers_of_parts():
    compiled = {'backbone._orig_mod.conv1.weight': torch.tensor(1.0), 'neck._fsdp_wrapped_module.w': torch.tensor(2.0)}
    assert values(unwrap({'state_dict': compiled}, 'a').tensors) == {'backbone.conv1.weight': 1.0, 'neck.w': 2.0}
    twice = compiled | {'backbone.conv1.weight': torch.tensor(3.0)}
    with pytest.raises(UserError, match='a holds a tensor twice'):
        unwrap(twice, 'a')


def test_a_backbone_alone():
    """Under its name, or in bare ones."""
    bare = ['conv1.weight', 'layer1.0.bn.bias']
    for prefix, names in (('module.', bare), ('model.', bare), ('', bare)):
        assert values(unwrap(state(prefix, names), 'a').tensors) == values(state('', names))
    under = state('module.', ['backbone.conv1.weight'])
    assert list(unwrap(under, 'a').tensors) == ['backbone.conv1.weight']
    # What only looks like a wrapper's stays.
    assert list(unwrap(state('', ['layer1.w', 'layer1.b']), 'a').tensors) == ['layer1.w', 'layer1.b']


def test_what_is_beside_the_model_is_kept_apart():
    content = state('model.') | {'queue': torch.tensor(7.0)}
    unwrapped = unwrap(content, 'a')
    assert values(unwrapped.tensors) == values(state()) and values(unwrapped.others) == {'queue': 7.0}


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (state('student.') | state('teacher.'), r'a holds several models, student\., teacher\.; which is meant'),
        ({'first': state(), 'second': state()}, 'a holds first, second, and which are the weights cannot be told'),
        ({'state_dict': {}, 'epoch': 1}, 'a holds no weights'),
        ({'optimizer': {'state': {0: {'step': torch.tensor(1)}}}}, 'a holds no weights'),
        ({'state_dict': {'backbone.w': torch.ones(1), 'x': 3}}, 'a holds more than named tensors'),
        ({1: torch.ones(1)}, 'a holds more than named tensors'),
        (torch.nn.Linear(2, 2), r"a holds a Linear instead of weights; save the model's state_dict\(\)"),
    ],
)
def test_what_cannot_be_told(content, words):
    with pytest.raises(UserError, match=words):
        unwrap(content, 'a')


def test_mmengines_moving_average_is_not_the_model():
    content = {
        'state_dict': state(),
        'ema_state_dict': {'module.' + name: -t for name, t in state().items()},
        'random_state': {'torch': torch.ones(1)},
    }
    assert values(unwrap(content, 'a').tensors) == values(state())
    # It might have been meant.
    assert unwrap(content, 'a').notes == ('of state_dict, ema_state_dict in it, state_dict is taken',)
    del content['ema_state_dict']
    assert not unwrap(content, 'a').notes


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['backbone.w', 'target.backbone.w'], ['']),
        (['student.backbone.w', 'teacher.backbone.w', 'student.head.w'], ['student.', 'teacher.']),
        (['detector.backbone.w', 'x.w'], ['detector.']),
        (['m.backbone.w', 'm.target.backbone.w'], ['m.']),
        (['conv.w', 'my_backbone.w'], []),
    ],
)
def test_the_models_in_a_state_dict(names, expected):
    assert models_in(names) == expected
