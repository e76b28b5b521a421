import os
import signal

import pytest
import torch
from mmengine.hooks import Hook

from mmsoco.engine.interruption import Interrupted, stop_signals
from mmsoco.engine.launch import train
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class SignalHook(Hook):
    """Sends this process a signal in the middle of a step."""

    def __init__(self, step, number):
        self.step = step
        self.number = number

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize('number', [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_the_step_is_finished_saved_and_gone_on_from(recipe, tiny_options, tmp_path, number):
    tiny_options |= {'default_hooks.checkpoint.interval': 5, 'train_dataloader.num_workers': 1}
    tiny_options['train_dataloader.persistent_workers'] = True
    stopping = tiny_options | {'default_hooks.signal': dict(type='SignalHook', step=3, number=int(number))}
    with pytest.raises(Interrupted) as stop:
        train(recipe, str(tmp_path / 'stopped'), amp=False, options=stopping)
    assert stop.value.status == 128 + number
    saved = tmp_path / 'stopped/iter_3.pth'
    assert str(stop.value) == (
        f'by {number.name} after step 3; {saved} is saved; the same command with --resume goes on'
    )
    assert torch.load(saved, weights_only=True)['meta']['iter'] == 3
    assert signal.getsignal(number) is not stop_signals._note
    assert not (tmp_path / 'stopped/run.lock').exists()

    train(recipe, str(tmp_path / 'stopped'), resume='auto', amp=False, options=tiny_options)
    train(recipe, str(tmp_path / 'calm'), amp=False, options=tiny_options)
    ends = [torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True) for name in ('stopped', 'calm')]
    assert all(torch.equal(*tensors) for tensors in zip(*(end['state_dict'].values() for end in ends), strict=True))
    # What was saved between two regular checkpoints has served.
    assert not saved.exists()


def test_without_a_checkpoint_hook_it_is_said(recipe, tiny_options, tmp_path):
    tiny_options |= {
        'default_hooks.checkpoint': None,
        'default_hooks.signal': dict(type='SignalHook', step=1, number=int(signal.SIGTERM)),
    }
    with pytest.raises(Interrupted, match='after step 1; nothing saved, as the config has no CheckpointHook'):
        train(recipe, str(tmp_path), amp=False, options=tiny_options)
