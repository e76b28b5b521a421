import io

import numpy as np
import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import HistoryBuffer

from mmsoco.engine.hooks.checkpoint import CheckpointHook, plain
from mmsoco.engine.launch import train
from mmsoco.errors import UserError


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
