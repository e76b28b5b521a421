import pytest
from torch import nn

from mmsoco.engine import LARSConstructor, PretrainOptimConstructor
from mmsoco.models import SoCoAlgorithm


@pytest.mark.parametrize('constructor', [LARSConstructor, PretrainOptimConstructor])
def test_constructor_refuses_groups_it_would_ignore(constructor):
    cfg = dict(type='OptimWrapper', optimizer=dict(type='LARS', lr=1.0, weight_decay=1e-5))
    with pytest.raises(ValueError, match='leave paramwise_cfg out'):
        constructor(cfg, dict(norm_decay_mult=0))(nn.Linear(2, 2))


def test_constructor_makes_two_groups_of_the_online_parameters(tiny_model_cfg):
    tiny_model_cfg.pop('type')
    model = SoCoAlgorithm(**tiny_model_cfg)
    constructor = LARSConstructor(dict(type='OptimWrapper', optimizer=dict(type='LARS', lr=1.0, weight_decay=1e-5)))
    vectors, matrices = constructor(model).optimizer.param_groups
    assert vectors['weight_decay'] == 0 and not vectors['adapt'] and all(p.ndim <= 1 for p in vectors['params'])
    assert matrices['weight_decay'] == 1e-5 and matrices['adapt'] and all(p.ndim > 1 for p in matrices['params'])
    online = [p for name, p in model.named_parameters() if not name.startswith('target.')]
    assert {id(p) for p in online} == {id(p) for group in (vectors, matrices) for p in group['params']}
    assert id(model.backbone.layer2[0].downsample[1].weight) in {id(p) for p in vectors['params']}


@pytest.mark.parametrize('optimizer', ['AdamW', 'SGD'])
def test_any_optimizer_gets_the_same_groups(tiny_model_cfg, optimizer):
    tiny_model_cfg.pop('type')
    model = SoCoAlgorithm(**tiny_model_cfg)
    cfg = dict(type='OptimWrapper', optimizer=dict(type=optimizer, lr=1e-3, weight_decay=0.05))
    vectors, matrices = PretrainOptimConstructor(cfg)(model).optimizer.param_groups
    assert vectors['weight_decay'] == 0 and matrices['weight_decay'] == 0.05 and 'adapt' not in vectors
    assert all(p.ndim <= 1 for p in vectors['params']) and all(p.ndim > 1 for p in matrices['params'])
    online = {id(p) for name, p in model.named_parameters() if not name.startswith('target.')}
    assert {id(p) for group in (vectors, matrices) for p in group['params']} == online
