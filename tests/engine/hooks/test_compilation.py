import copy
import shutil
from functools import partial
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from torch import nn

from mmsoco.engine.hooks.compilation import CompileHook, compile_parts
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.models.recomputing import recompute
from mmsoco.registry import MODELS


def compared(model, other, batch):
    for network in (model, other):
        network.train()
        losses = network(**network.data_preprocessor(copy.deepcopy(batch), training=True), mode='loss')
        network.parse_losses(losses)[0].backward()
    assert list(other.state_dict()) == list(model.state_dict())
    for (name, p), (_, q) in zip(model.named_parameters(), other.named_parameters(), strict=True):
        if p.grad is not None:
            # Of the whole tensor: fused sums round otherwise, and small norms near zero make much of it.
            assert (q.grad - p.grad).norm() <= 1e-3 * p.grad.norm() + 1e-5, (
                name,
                (q.grad - p.grad).norm(),
                p.grad.norm(),
            )
    for (name, b), (_, c) in zip(model.named_buffers(), other.named_buffers(), strict=True):
        assert (c.float() - b.float()).norm() <= 1e-3 * b.float().norm() + 1e-4, (name, c, b)


@pytest.mark.parametrize(
    'backend',
    [
        'eager',
        pytest.param(
            'inductor', marks=[pytest.mark.slow, pytest.mark.skipif(not shutil.which('g++'), reason='needs a compiler')]
        ),
    ],
)
def test_values_and_names_are_those_without(tiny_model_cfg, batch, backend):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg)
    other = copy.deepcopy(model)
    calls = []

    def counting(graph, inputs):
        calls.append(graph)
        return graph.forward

    assert compile_parts(
        other, ['backbone', 'neck', 'roi_head', 'else'], counting if backend == 'eager' else backend
    ) == [
        'backbone',
        'neck',
        'roi_head',
    ]
    compared(model, other, batch)
    assert backend != 'eager' or len(calls) >= 6  # parts, online and target


@pytest.mark.parametrize('backend', ['eager', 'aot_eager'])
@pytest.mark.parametrize('compiled_first', [False, True])
def test_a_part_that_is_recomputed_too(tiny_model_cfg, batch, backend, compiled_first):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg)
    other = copy.deepcopy(model)
    steps = [partial(recompute, other, ['backbone']), partial(compile_parts, other, ['backbone'], backend)]
    for step in reversed(steps) if compiled_first else steps:
        step()
    compared(model, other, batch)
    assert other.backbone.bn1.num_batches_tracked == 3


def test_torch_keeps_graphs_of_all_blocks(monkeypatch):
    """Its own limit is 8, behind which code runs uncompiled."""
    config = torch._dynamo.config
    with config.patch(cache_size_limit=8, accumulated_cache_size_limit=256):
        runner = SimpleNamespace(model=nn.Module(), logger=mock.Mock())
        runner.model.backbone = nn.Linear(1, 1)
        CompileHook(backend='eager').before_train(runner)
        assert config.cache_size_limit == 256 and config.accumulated_cache_size_limit == 2048


def test_parts_that_are_not_there():
    with pytest.raises(UserError, match='no part neck to compile'):
        compile_parts(nn.Linear(1, 1), ['neck'], 'eager')


@pytest.mark.slow
def test_a_run(recipe, tiny_options, tmp_path):
    compiling = mock.patch.object(CompileHook.__init__, '__defaults__', (('backbone', 'neck', 'roi_head'), 'eager'))
    with compiling:
        train(recipe, str(tmp_path), amp=False, options=tiny_options, compile_parts=True, recompute=['projector'])
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'To be compiled by eager in the first steps: backbone, neck, roi_head' in log
    assert 'Recomputed in the backward pass: projector' in log
    assert not any(
        '_orig_mod' in name for name in torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['state_dict']
    )
