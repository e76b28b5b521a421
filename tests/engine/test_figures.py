from types import SimpleNamespace

import torch

from mmsoco.engine.figures import SKIPPED, Figures, to_be_logged


def test_means_of_micro_batches_fetched_at_once(monkeypatch):
    figures, fetched = Figures(), []
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, 'tolist', lambda tensor: fetched.append(tensor) or original(tensor))
    nothing = SimpleNamespace()
    figures.add([{'loss': torch.tensor(1.0)}, {'loss': torch.tensor(3.0)}], nothing)
    wrapper = SimpleNamespace(norm=torch.tensor(5.0), in_a_row=torch.tensor(2))
    figures.add([{'loss': torch.tensor(1, dtype=torch.int64), 'other': torch.tensor(0.5)}], wrapper)
    assert figures.fetch() == [{'loss': 2.0}, {'loss': 1.0, 'other': 0.5, 'grad_norm': 5.0, SKIPPED: 2.0}]
    assert len(fetched) == 1 and figures.fetch() == []


def test_the_norm_of_a_skipped_step_is_not_logged():
    assert to_be_logged({'loss': 1.0, 'grad_norm': float('inf'), SKIPPED: 1.0}) == {'loss': 1.0}
    assert to_be_logged({'loss': 1.0, 'grad_norm': 2.0, SKIPPED: 0.0}) == {'loss': 1.0, 'grad_norm': 2.0}
