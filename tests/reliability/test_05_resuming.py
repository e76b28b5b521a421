"""Promise 5: ``--resume`` goes on from the newest checkpoint that is whole, and never begins over one."""

import os

import pytest
import torch

from mmsoco.engine.launch import train
from mmsoco.engine.resuming import POINTER
from mmsoco.errors import UserError


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1000)


@pytest.mark.slow
def test_a_run_goes_on_from_the_newest_that_is_whole(recipe, tiny_options, tmp_path, capsys):
    options = tiny_options | {'default_hooks.checkpoint': dict(by_epoch=False, interval=1, max_keep_ckpts=4)}
    short = options | {'train_cfg.max_epochs': None, 'train_cfg.max_steps': 3}
    train(recipe, str(tmp_path), amp=False, options=short)
    flip_a_bit(tmp_path / 'iter_3.pth')
    truncate(tmp_path / 'iter_2.pth')
    (tmp_path / POINTER).unlink()
    capsys.readouterr()
    runner = train(recipe, str(tmp_path), resume='auto', resume_anyway=True, amp=False, options=options)
    assert runner.iter == 4
    log = capsys.readouterr().out
    for name in ('iter_3.pth', 'iter_2.pth'):
        assert f'Passed over: {tmp_path / name} ' in log
    assert 'resumed epoch: 0, iter: 1' in log
    assert {path.name for path in tmp_path.glob('before_*/*')} == {'iter_2.pth', 'iter_3.pth'}
    assert {path.name for path in tmp_path.glob('*.pth')} == {f'iter_{step}.pth' for step in (1, 2, 3, 4)}

    for path in tmp_path.glob('*.pth'):
        flip_a_bit(path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')}
    with pytest.raises(UserError, match=f'no checkpoint in {tmp_path} is whole') as stop:
        train(recipe, str(tmp_path), resume='auto', amp=False, options=options)
    assert '\n' not in str(stop.value)
    assert {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')} == before


@pytest.mark.slow
def test_a_run_that_begins_keeps_what_an_earlier_one_left(recipe, tiny_options, tmp_path, capsys):
    train(recipe, str(tmp_path), amp=False, options=tiny_options)
    former = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['state_dict']
    train(recipe, str(tmp_path), amp=False, options=tiny_options | {'randomness.seed': 1})
    (kept,) = tmp_path.glob('before_*/epoch_2.pth')
    assert f'moved from {tmp_path} to {kept.parent.name}: epoch_1.pth, epoch_2.pth' in capsys.readouterr().out
    again, now = (torch.load(path, weights_only=True)['state_dict'] for path in (kept, tmp_path / 'epoch_2.pth'))
    assert all(torch.equal(former[name], again[name]) for name in former)
    assert not all(torch.equal(former[name], now[name]) for name in former)
