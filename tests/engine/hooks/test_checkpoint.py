import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import HistoryBuffer

from mmsoco.engine.hooks.checkpoint import CheckpointHook, check_resumable, plain, process_state, restore_process_state
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.files import is_finishing


def test_plain_keeps_values_and_makes_strings_of_the_rest():
    value = {'a': np.float64(1.5), 'b': (1, None, 'x'), 'c': np.arange(3), 'd': HistoryBuffer(), 'e': True}
    out = plain(value)
    assert out['a'] == 1.5 and type(out['a']) is float
    assert out['b'] == (1, None, 'x') and out['e'] is True
    assert torch.equal(out['c'], torch.arange(3))
    assert isinstance(out['d'], str)


def test_an_unknown_argument_is_refused_at_the_start():
    """mmengine would keep it until the first checkpoint is saved."""
    with pytest.raises(UserError, match='CheckpointHook takes no max_keep_ckpt; did you mean max_keep_ckpts'):
        CheckpointHook(interval=1, max_keep_ckpt=3)


def test_backend_leaves_the_old_file_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'old')
    backend = get_file_backend(str(path), backend_args=CheckpointHook().backend_args)
    backend.put(b'new', path)
    assert path.read_bytes() == b'new'
    with pytest.raises(TypeError):
        backend.put(io.StringIO('not bytes'), path)
    assert path.read_bytes() == b'new'
    assert [p.name for p in tmp_path.iterdir()] == ['epoch_1.pth']


def test_checkpoints_are_plain_and_the_oldest_go(recipe, tiny_options, tmp_path):
    options = {
        **tiny_options,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.checkpoint.max_keep_ckpts': 2,
    }
    train(recipe, str(tmp_path), amp=False, options=options)
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['iter_3.pth', 'iter_4.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_4.pth')
    checkpoint = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    assert checkpoint['message_hub']['log_scalars'] == {}
    assert checkpoint['message_hub']['runtime_info']['iter'] == 3
    assert checkpoint['meta']['dataset_meta']['generator']['name'] == 'selective_search'
    assert checkpoint['random_state']['cpu'].dtype == torch.uint8


EACH_STEP = {'default_hooks.checkpoint.by_epoch': False, 'default_hooks.checkpoint.interval': 1}


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_it_saves_by_time_too_and_such_a_checkpoint_goes_with_the_next(recipe, tiny_options, tmp_path):
    seen = []

    class Watching(CheckpointHook):
        def _save(self, runner, name, meta):
            super()._save(runner, name, meta)
            seen.append(names(tmp_path))

    options = tiny_options | {
        'default_hooks.checkpoint': dict(_delete_=True, type=Watching, interval=1, every_minutes=0)
    }
    train(recipe, str(tmp_path), amp=False, options=options)
    assert seen == [
        ['iter_1.pth'],
        ['epoch_1.pth'],
        ['epoch_1.pth', 'iter_3.pth'],
        ['epoch_1.pth', 'epoch_2.pth'],
    ]


@pytest.mark.slow
def test_nothing_in_the_folder_escapes_the_bound(recipe, tiny_options, tmp_path):
    """Files that a killed run had no time to delete, or that the checkpoint to resume from does not know."""
    options = tiny_options | EACH_STEP | {'default_hooks.checkpoint.max_keep_ckpts': 5}
    train(recipe, str(tmp_path), amp=False, options=options | {'train_cfg.max_epochs': 1})
    assert names(tmp_path) == ['iter_1.pth', 'iter_2.pth']
    options['default_hooks.checkpoint.max_keep_ckpts'] = 2
    train(recipe, str(tmp_path), resume='auto', resume_anyway=True, amp=False, options=options)
    assert names(tmp_path) == ['iter_3.pth', 'iter_4.pth']
    # Of a run that was killed after its last checkpoint, before it had removed what is one too many.
    earlier = torch.load(tmp_path / 'iter_3.pth', weights_only=True)
    earlier['meta']['iter'] = 2
    torch.save(earlier, tmp_path / 'iter_2.pth')
    train(recipe, str(tmp_path), resume='auto', amp=False, options=options)
    assert names(tmp_path) == ['iter_3.pth', 'iter_4.pth']


def test_weights_alone_are_no_run_to_resume():
    checkpoint = {key: {} for key in ('meta', 'message_hub', 'optimizer', 'state_dict')}
    check_resumable(checkpoint, 'a.pth')
    del checkpoint['optimizer']
    with pytest.raises(UserError, match=r'a.pth cannot be .* no optimizer: it is of weights alone; begin from it by'):
        check_resumable(checkpoint, 'a.pth')


def test_what_one_process_alone_knows_is_kept_for_it():
    torch.manual_seed(0)
    one, other = (torch.nn.BatchNorm1d(2) for _ in range(2))
    one(torch.randn(8, 2))
    state = process_state(one)
    expected = torch.randn(3)
    restore_process_state(other, state)
    assert torch.equal(torch.randn(3), expected)
    assert torch.equal(one.running_mean, other.running_mean) and one.running_mean.any()


def test_a_run_whose_bn_was_not_synchronised_goes_on_with_bn_that_is():
    """Then all processes have the statistics of the checkpoint itself."""
    before, now = torch.nn.Sequential(torch.nn.BatchNorm1d(2)), torch.nn.Sequential(torch.nn.SyncBatchNorm(2))
    before[0](torch.randn(8, 2))
    state = process_state(before)
    assert '0.running_mean' in state['buffers'] and process_state(now)['buffers'] == {}
    restore_process_state(now, state)
    assert not now[0].running_mean.any()


def test_old_checkpoints_and_the_pointer_are_written_before_a_process_ends(tmp_path, monkeypatch):
    hook = CheckpointHook()
    hook.out_dir, hook._kept, seen = str(tmp_path), {}, []
    monkeypatch.setattr(hook, '_remove_old', lambda *args, **kwargs: seen.append(is_finishing()))
    runner = SimpleNamespace(
        work_dir=str(tmp_path),
        model=torch.nn.Linear(1, 1),
        message_hub=SimpleNamespace(update_info=lambda *args: None),
        save_checkpoint=lambda *args, **kwargs: seen.append(is_finishing()),
    )
    hook._save(runner, 'iter_1.pth', dict(iter=1))
    assert seen == [True, True] and not is_finishing()
