"""The benchmark of memory: what it counts, and what fits."""

import json
import sys

import pytest
import torch
from scripts import load_script
from torch import nn


@pytest.fixture
def memory():
    return load_script('tools/benchmarks/memory.py')


class Toy(nn.Module):
    """One layer with an activation behind it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 10)

    def data_preprocessor(self, batch, training):
        return batch

    def forward(self, x, mode):
        return self.layer(x).sigmoid().sum()


@pytest.mark.parametrize(('amp', 'size'), [(False, 4), (True, 2)])
def test_what_is_kept(memory, amp, size):
    """The input of the layer, under autocast its copy, and the result of the sigmoid."""
    assert memory.kept(Toy(), {'x': torch.zeros(5, 6)}, amp) == 5 * (6 + 10) * size


def test_what_fits(memory):
    assert memory.fitting(memory=8, fixed=0, each=memory.GIB / 10, total=2048, cards=8) == (50, 8)
    assert memory.fitting(memory=8, fixed=5 * memory.GIB, each=1e6, total=2048, cards=8) == (0, 0)


def test_recomputing_keeps_less(memory, root, monkeypatch, capsys):
    config = str(root / 'configs/quickstart/soco_r18fpn_digits.py')
    monkeypatch.setattr(sys, 'argv', ['memory.py', config, '--recompute', 'backbone', '--quick', '--json'])
    with pytest.raises(SystemExit) as end:
        memory.main()
    assert end.value.code is None
    rows = json.loads(capsys.readouterr().out)['rows']
    kept = {(tuple(row['recomputed']), row['precision']): row['mb_an_image'] for row in rows}
    assert kept[('backbone',), 'fp32'] < 0.95 * kept[(), 'fp32']
    assert kept[('backbone',), 'bf16'] < kept[(), 'bf16'] < kept[(), 'fp32']
