import pytest
import torch
from torch import nn

from mmsoco.engine import PretrainOptimConstructor
from mmsoco.errors import UserError
from mmsoco.models import SoCoAlgorithm
from mmsoco.registry import OPTIM_WRAPPER_CONSTRUCTORS


@pytest.fixture
def model(tiny_model_cfg):
    tiny_model_cfg.pop('type')
    return SoCoAlgorithm(**tiny_model_cfg)


def groups_of(model, type='AdamW', lr=1e-3, weight_decay=0.05, **paramwise_cfg):
    cfg = dict(type='OptimWrapper', optimizer=dict(type=type, lr=lr, weight_decay=weight_decay))
    return PretrainOptimConstructor(cfg, paramwise_cfg)(model).optimizer.param_groups


def online(model):
    return {id(p) for name, p in model.named_parameters() if not name.startswith('target.')}


def ids(*groups):
    return [id(p) for group in groups for p in group['params']]


def test_lars_does_not_adapt_parameters_of_one_dimension(model):
    vectors, matrices = groups_of(model, 'LARS', 1.0, 1e-5)
    assert vectors['weight_decay'] == 0 and not vectors['adapt'] and all(p.ndim <= 1 for p in vectors['params'])
    assert matrices['weight_decay'] == 1e-5 and matrices['adapt'] and all(p.ndim > 1 for p in matrices['params'])
    assert online(model) == set(ids(vectors, matrices))
    assert id(model.backbone.layer2[0].downsample[1].weight) in ids(vectors)


@pytest.mark.parametrize('optimizer', ['AdamW', 'SGD'])
def test_any_optimizer_gets_the_same_groups(model, optimizer):
    vectors, matrices = groups_of(model, optimizer)
    assert vectors['weight_decay'] == 0 and matrices['weight_decay'] == 0.05 and 'adapt' not in vectors
    assert all(p.ndim <= 1 for p in vectors['params']) and all(p.ndim > 1 for p in matrices['params'])
    assert set(ids(vectors, matrices)) == online(model)


@pytest.mark.parametrize('optimizer', ['AdamW', 'SGD', 'LARS'])
def test_rates_fall_towards_the_input(model, optimizer):
    groups = groups_of(model, optimizer, layer_decay_rate=0.5)
    # Two groups for each of the stem, eight blocks, and all else; no parameter twice, the target left out.
    assert len(groups) == 20 and sorted(ids(*groups)) == sorted(online(model))
    rates = {p: group['lr'] for group in groups for p in group['params']}
    assert rates[model.backbone.conv1.weight] == 1e-3 * 0.5**9
    assert rates[model.backbone.layer1[0].conv1.weight] == rates[model.backbone.layer1[0].bn1.bias] == 1e-3 * 0.5**8
    assert rates[model.backbone.layer4[1].conv2.weight] == 1e-3 * 0.5
    assert rates[model.neck.fpn_convs[0].conv.weight] == rates[model.predictor.fc1.weight] == 1e-3
    assert all((group['weight_decay'] == 0) == (group['params'][0].ndim <= 1) for group in groups)
    if optimizer == 'LARS':
        assert all(group['adapt'] == (group['params'][0].ndim > 1) for group in groups)


def test_options_of_mmengine_come_first(model):
    """Single parameters by name; what has one dimension keeps its rule elsewhere."""
    keys = {'backbone.conv1': dict(lr_mult=0.1, decay_mult=0.0), 'projector.fc1.bias': dict(decay_mult=1.0)}
    groups = groups_of(model, custom_keys=keys, layer_decay_rate=0.5)
    of = {p: group for group in groups for p in group['params']}
    stem, bias = of[model.backbone.conv1.weight], of[model.projector.fc1.bias]
    assert stem['lr'] == pytest.approx(1e-3 * 0.1 * 0.5**9) and stem['weight_decay'] == 0
    assert bias['weight_decay'] == 0.05 and of[model.projector.fc0.bias]['weight_decay'] == 0
    assert sorted(ids(*groups)) == sorted(online(model))


def test_a_rate_alone_leaves_the_rule_for_decay(model):
    groups = groups_of(model, custom_keys={'backbone': dict(lr_mult=0.1)})
    assert {(group['lr'], group['weight_decay'], group['params'][0].ndim > 1) for group in groups} == {
        (1e-4, 0, False), (1e-4, 0.05, True), (1e-3, 0, False), (1e-3, 0.05, True),
    }  # fmt: skip


def test_parameters_of_the_model_itself(model):
    model.token = nn.Parameter(torch.zeros(1, 4))
    groups = groups_of(model, custom_keys={'token': dict(lr_mult=0.1, decay_mult=0.0)})
    (of_token,) = [group for group in groups if id(model.token) in ids(group)]
    assert of_token['lr'] == pytest.approx(1e-4) and of_token['weight_decay'] == 0


def test_frozen_layers_are_left_out(model):
    model.backbone.layer1.requires_grad_(False)
    frozen = {id(p) for p in model.backbone.layer1.parameters()}
    for options in ({}, dict(layer_decay_rate=0.5), dict(norm_decay_mult=0.0)):
        assert set(ids(*groups_of(model, **options))) == online(model) - frozen


def test_what_is_loaded_has_a_rate_of_its_own_where_the_model_knows_it(model):
    model.loaded = {'backbone.conv1.weight', 'backbone.bn1.weight'}
    slow = [group for group in groups_of(model, loaded_lr=0.1) if group['lr'] == pytest.approx(1e-4)]
    assert ids(*slow) == [id(model.backbone.bn1.weight), id(model.backbone.conv1.weight)]
    model.loaded = ()
    for unaware in (model, nn.Linear(2, 2)):
        with pytest.raises(UserError, match=r'loaded_lr is of what is loaded.*begin by mmsoco train --init'):
            groups_of(unaware, loaded_lr=0.1)


def test_the_name_of_earlier_versions(model):
    assert OPTIM_WRAPPER_CONSTRUCTORS.get('mmsoco.LARSConstructor') is PretrainOptimConstructor


def test_one_layer_is_enough():
    (group,) = groups_of(nn.Linear(2, 2, bias=False))
    assert group['weight_decay'] == 0.05
