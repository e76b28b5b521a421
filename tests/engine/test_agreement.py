import socket

import pytest
import torch
from torch import nn
from two_processes import in_two_processes

from mmsoco.engine.agreement import fingerprint, parts_of, require_same
from mmsoco.engine.together import Together
from mmsoco.errors import UserError


def flipped(tensor, index, bit):
    """The same with one bit of one number changed."""
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    copy = tensor.clone()
    flat = copy.view(-1).view(integers)
    flat[index] ^= torch.iinfo(integers).min if bit == 'last' and integers != torch.uint8 else 1
    return copy


@pytest.mark.parametrize(
    'dtype', [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8]
)
@pytest.mark.parametrize('index', [0, 1, 63])
@pytest.mark.parametrize('bit', ['first', 'last'])
def test_a_single_bit_shows(dtype, index, bit):
    tensor = (torch.randn(8, 8, generator=torch.Generator().manual_seed(0)) * 50).to(dtype)
    assert fingerprint([tensor]) == fingerprint([tensor.clone()])
    assert fingerprint([tensor]) != fingerprint([flipped(tensor, index, bit)])


def test_places_signs_shapes_and_kinds_show():
    tensor = torch.arange(6.0)
    others = [tensor.flip(0), tensor.view(2, 3), tensor[:5], tensor.double(), -tensor, tensor + 0]
    others[4][1:] = tensor[1:]  # -0.0 in the first place
    assert [fingerprint([tensor]) == fingerprint([other]) for other in others] == [False] * 5 + [True]
    assert fingerprint([tensor, tensor + 1]) != fingerprint([tensor + 1, tensor])
    assert fingerprint([torch.zeros(0)]) != fingerprint([]) != fingerprint([torch.zeros(())])


def test_large_tensors_and_layouts(monkeypatch):
    monkeypatch.setattr('mmsoco.engine.agreement._PART', 7)
    maps = torch.randn(2, 3, 5, 5)
    assert fingerprint([maps]) == fingerprint([maps.contiguous(memory_format=torch.channels_last)])
    assert fingerprint([maps]) != fingerprint([flipped(maps, 149, 'first')])
    monkeypatch.undo()
    whole = fingerprint([maps])
    monkeypatch.setattr('mmsoco.engine.agreement._PART', 7)
    assert fingerprint([maps]) == whole


def test_what_is_compared_of_a_model():
    model = nn.Sequential(nn.Linear(2, 2), nn.SyncBatchNorm(2), nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters())
    before = parts_of(model, [optimizer])
    model[2].running_mean += 1  # of this process alone
    assert parts_of(model, [optimizer]) == before
    model[1].running_mean += 1
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    assert all(parts_of(model, [optimizer])[name] != before[name] for name in before)


def test_processes_that_differ_are_named(tmp_path):
    def compare(rank):
        torch.manual_seed(rank)
        parts = {'step': 5, 'parameters': fingerprint([torch.randn(3)])}
        require_same(Together().share((socket.gethostname(), parts)), 'share the file')

    first, second = in_two_processes(compare, tmp_path)
    host = socket.gethostname()
    expected = f'process 1 on {host} has other weights than process 0 on {host} (parameters): training would mix them; '
    assert first == second == expected + 'share the file'
    require_same([('a', {'step': 5})] * 2, '')
    with pytest.raises(UserError, match=r'process 1 on b .* \(step 0 instead of 5\)'):
        require_same([('a', {'step': 5, 'x': 1}), ('b', {'step': 0, 'x': 2})], '')
