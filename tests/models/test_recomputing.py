import copy

import pytest
import torch
from torch import nn
from two_processes import in_two_processes

from mmsoco.errors import UserError
from mmsoco.models.recomputing import blocks, recompute
from mmsoco.models.sync_bn import synchronise
from mmsoco.registry import MODELS


def step(model, batch, amp=False):
    """Losses, gradients and buffers of a step in train mode, and the bytes of activations kept for the gradient."""
    torch.manual_seed(0)
    model.train()
    kept = {}
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast('cpu', torch.bfloat16, enabled=amp):
            losses = model(**model.data_preprocessor(copy.deepcopy(batch), training=True), mode='loss')
        bytes_kept = sum(kept.values())
        model.parse_losses(losses)[0].backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {**losses, **gradients, **dict(model.named_buffers())}, bytes_kept


@pytest.fixture
def both(tiny_model_cfg):
    """The model, and its copy with everything recomputed."""

    def both(parts):
        torch.manual_seed(0)
        model = MODELS.build(tiny_model_cfg)
        model.init_weights()
        other = copy.deepcopy(model)
        recompute(other, parts)
        return model, other

    return both


@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('parts', [['backbone'], ['backbone', 'neck', 'roi_head', 'projector', 'predictor']])
def test_the_same_bits_in_less_memory(both, batch, parts, amp):
    model, other = both(parts)
    (expected, much), (found, less) = step(model, batch, amp), step(other, batch, amp)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    assert found['backbone.bn1.num_batches_tracked'] == 3  # views
    assert found['backbone.layer1.0.bn1.num_batches_tracked'] == 3
    assert less < 0.8 * much


def test_drop_path_draws_the_same(both, tiny_model_cfg, batch):
    tiny_model_cfg['backbone'] = dict(
        type='mmdet.SwinTransformer', embed_dims=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], drop_path_rate=0.5
    )
    model, other = both(['backbone'])
    expected, found = step(model, batch)[0], step(other, batch)[0]
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_in_two_processes_statistics_are_gathered_once(both, batch, tmp_path):
    def run(rank):
        model, other = both(['backbone'])
        results, messages = [], []
        original = torch.distributed.all_gather
        for network in (model, other):
            count = []
            torch.distributed.all_gather = lambda *args, count=count: (count.append(1), original(*args))[1]
            own = copy.deepcopy(batch)
            own['inputs'] = {name: view.roll(rank, -1) for name, view in own['inputs'].items()}
            results.append(step(synchronise(network), own)[0])
            messages.append(len(count))
        same = all(torch.equal(value, results[1][name]) for name, value in results[0].items())
        return same, messages[0] == messages[1] > 0

    assert in_two_processes(run, tmp_path) == [(True, True)] * 2


def test_what_is_recomputed_by_itself():
    model = nn.Module()
    model.stem, model.layer1 = (
        nn.Linear(2, 2),
        nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.ReLU())),
    )
    assert blocks(model) == list(model.layer1) and blocks(model.stem) == [model.stem]
    with pytest.raises(UserError, match='no part neck to recompute; give some of stem, layer1'):
        recompute(model, ['neck'])


def test_without_gradients_nothing_changes(both, batch):
    model, other = both(['backbone'])
    inputs = model.data_preprocessor(batch, training=True)['inputs']['v1']
    with torch.no_grad():
        for a, b in zip(model.extract_feat(inputs), other.extract_feat(inputs), strict=True):
            assert torch.equal(a, b)
    assert list(other.state_dict()) == list(model.state_dict())
