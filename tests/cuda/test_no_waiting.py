"""By CUDA's own word: torch raises where a step between two reports waits for the device."""

from contextlib import contextmanager, nullcontext

import pytest
import torch
from between_reports import train_watched
from waiting import no_waiting


@contextmanager
def sync_raises():
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


# Not fp16, whose first steps are skipped until a scale of the loss is found; figures are read meanwhile.
@pytest.mark.parametrize('amp', [False, 'bf16'])
@pytest.mark.parametrize('accumulate', [1, 2])
@pytest.mark.parametrize('optimizer', ['LARS', 'AdamW'])
@pytest.mark.parametrize('head', ['BYOLHead', 'InfoNCEHead'])
def test_steps_between_two_reports(
    recipe, tiny_options, tmp_path, monkeypatch, device, head, optimizer, accumulate, amp
):
    def context(step, read):
        # The first step chooses algorithms and makes the optimizer's state.
        if read or step == 0:
            return nullcontext()
        return sync_raises() if device == 'cuda' else no_waiting()

    # On a CPU AdamW counts its steps without asking only where it is fused; on a GPU see count_on_device.
    fused = dict(fused=True) if optimizer == 'AdamW' and device == 'cpu' else {}
    options = tiny_options | {
        'model.predictor.type': head,
        **({'model.predictor.queue': 64} if head == 'InfoNCEHead' else {}),
        'optim_wrapper.optimizer': dict(_delete_=True, type=optimizer, lr=1e-3, **fused),
    }
    seen = train_watched(recipe, options, tmp_path, monkeypatch, context, amp=amp, accumulate=accumulate)
    assert seen == [False, True] * 4
