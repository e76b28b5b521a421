import os
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from two_processes import in_two_processes

from mmsoco.engine import shared_memory
from mmsoco.engine.shared_memory import bytes_of_batch, check_shared_memory, need
from mmsoco.errors import UserError

GB = 2**30


@pytest.fixture
def loader(recipe):
    return Config.fromfile(recipe).train_dataloader


def free(monkeypatch, size):
    monkeypatch.setattr(os, 'statvfs', lambda path: SimpleNamespace(f_bavail=size // 4096, f_frsize=4096))


def test_what_is_needed(loader):
    batch = 256 * 3 * (2 * 224**2 + 112**2)
    assert bytes_of_batch(loader) == batch
    assert need(loader, 8) == (8 * 8 * batch, 8 * 17 * batch)
    loader.prefetch_factor = 4
    assert need(loader, 1) == (8 * batch, 33 * batch)
    loader.dataset.pipeline.multi_view.views.v3 = None
    loader.dataset.channels = 4
    assert bytes_of_batch(loader) == 256 * 4 * 2 * 224**2
    loader.num_workers = 0
    assert need(loader, 8) == (0, 0)


def test_a_loader_of_unknown_samples_is_let_through():
    cfg = dict(batch_size=2, num_workers=2, dataset=dict(type='CocoDataset', pipeline=[dict(type='LoadImageFromFile')]))
    assert check_shared_memory(cfg) == []


def test_too_little(loader, monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, 'PLACE', tmp_path)
    free(monkeypatch, 64 << 20)
    with pytest.raises(UserError, match=r'has 0.06 GB free, .* 8 workers each take 0.65 to 1.37 GB; .* --shm-size=2g'):
        check_shared_memory(loader)
    free(monkeypatch, GB)
    (note,) = check_shared_memory(loader)
    assert '1.00 GB free' in note and 'num_workers=5' in note
    free(monkeypatch, 2 * GB)
    assert check_shared_memory(loader) == []
    monkeypatch.setattr(shared_memory, 'PLACE', tmp_path / 'none')
    free(monkeypatch, 0)
    assert check_shared_memory(loader) == []


def test_memory_of_dying_workers_is_waited_for(loader, monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, 'PLACE', tmp_path)
    monkeypatch.setattr(shared_memory.time, 'sleep', lambda seconds: free(monkeypatch, 2 * GB))
    free(monkeypatch, 64 << 20)
    assert check_shared_memory(loader, patience=10) == []


def test_a_node_with_too_little_ends_all(loader, monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, 'PLACE', tmp_path)

    def check(rank):
        free(monkeypatch, (64 << 20) if rank else 8 * GB)
        return check_shared_memory(loader)

    outcomes = in_two_processes(check, tmp_path)
    assert ['has 0.06 GB free' in words for words in outcomes] == [True, True]
