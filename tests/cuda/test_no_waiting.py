"""The same by CUDA's own word: torch raises where a step between two reports waits for the device."""

from contextlib import contextmanager

import pytest
import torch

from mmsoco.engine.launch import train
from mmsoco.engine.loops import PretrainLoop

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')


@contextmanager
def sync_raises(raises):
    torch.cuda.set_sync_debug_mode('error' if raises else 'default')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('accumulate', [1, 2])
@pytest.mark.parametrize('optimizer', ['LARS', 'AdamW'])
@pytest.mark.parametrize('head', ['BYOLHead', 'InfoNCEHead'])
def test_steps_between_two_reports(recipe, tiny_options, tmp_path, monkeypatch, head, optimizer, accumulate, amp):
    original, seen = PretrainLoop.run_iter, []

    def run_iter(loop, idx, batches):
        read = loop._somebody_reads()
        seen.append(read)
        # The first step chooses algorithms and makes the optimizer's state.
        with sync_raises(idx > 0 and not read):
            original(loop, idx, batches)

    monkeypatch.setattr(PretrainLoop, 'run_iter', run_iter)
    del tiny_options['default_hooks.record.type']  # it looks at all weights
    options = {
        **tiny_options,
        'model.predictor.type': head,
        **({'model.predictor.queue': 64} if head == 'InfoNCEHead' else {}),
        'optim_wrapper.optimizer': dict(_delete_=True, type=optimizer, lr=1e-3),
        'train_cfg': dict(_delete_=True, type='PretrainLoop', max_steps=8),
        'default_hooks.learning_rate.warmup_share': 0.5,
        'default_hooks.checkpoint': dict(by_epoch=False, interval=8),
        'default_hooks.matched_boxes': None,
    }
    train(recipe, str(tmp_path), amp=amp, accumulate=accumulate, options=options)
    assert seen == [False, True] * 4
