"""The device is waited for once in a step whose figures are read, and not at all in others."""

import pytest
import torch
from between_reports import train_watched
from waiting import WaitsForDevice, no_waiting

CONTRASTIVE = {'model.predictor.type': 'InfoNCEHead', 'model.predictor.queue': 64}
# Unfused it counts its steps on the CPU, unless the parameters are on a GPU (see count_on_device).
ADAMW = {'optim_wrapper.optimizer': dict(_delete_=True, type='AdamW', lr=1e-3, fused=True)}
VARIANTS = {
    'byol': {},
    'contrastive': CONTRASTIVE,
    'adamw': ADAMW,
    'official levels': {'model.roi_head.bbox_roi_extractor.integer_levels': True},
    'clipped': {'optim_wrapper.clip_grad': dict(max_norm=1.0)},
}


@pytest.mark.parametrize('amp', [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize('accumulate', [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', VARIANTS)
def test_steps_between_two_reports(recipe, tiny_options, tmp_path, monkeypatch, name, accumulate, amp):
    fetched = []
    original = torch.Tensor.tolist

    def context(step, read):
        if not read:
            return no_waiting()
        fetched.append(0)
        return monkeypatch.context()

    def tolist(tensor):
        fetched[-1:] = [fetched[-1] + 1] if fetched else []
        return original(tensor)

    monkeypatch.setattr('mmsoco.engine.figures.Tensor.tolist', tolist)
    options = tiny_options | VARIANTS[name]
    seen = train_watched(recipe, options, tmp_path, monkeypatch, context, amp=amp, accumulate=accumulate)
    assert seen == [False, True] * 4
    assert fetched == [1] * 4


def test_what_is_found():
    x = torch.arange(3.0)
    waits = {
        'item': lambda: x[0].item(),
        'bool': lambda: bool(x[0] > 1),
        'list': lambda: x.tolist(),
        'mask': lambda: x[x > 1],
        'set': lambda: x.masked_fill_(x > 1, 2).__setitem__(x > 1, x[:1]),
        'fill': lambda: x.__setitem__(x.long(), 0.0),
        'nonzero': lambda: (x > 1).nonzero(),
        'unique': lambda: x.unique(),
        'unique rows': lambda: x[:, None].unique(dim=0),
        'runs': lambda: x.unique_consecutive(),
        'runs of rows': lambda: x[:, None].unique_consecutive(dim=0),
        'histogram': lambda: x.long().bincount(),
        'repeated': lambda: x.repeat_interleave(x.long()),
        'cpu': lambda: x.cpu(),
        'array': lambda: x.numpy(),
        'constant': lambda: x + torch.tensor([1.0, 2.0, 3.0]),
        'new': lambda: x.new_tensor([1.0]),
    }
    for name, wait in waits.items():
        with pytest.raises(WaitsForDevice), no_waiting():
            wait()
            pytest.fail(name)
    with no_waiting():
        torch.where(x > 1, x, 0.0).sum()[None]
        x.repeat_interleave(2)
        x.repeat_interleave(x.long(), output_size=3)
        x[torch.zeros(2, dtype=torch.int64)] + torch.full((2,), 3.0)
