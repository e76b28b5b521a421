"""Promise 12: only regular files are opened, and what hangs ends the run, with its name."""

import multiprocessing
import os
import socket
import threading
import time

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmsoco.datasets import ProposalDataset
from mmsoco.engine.launch import train
from mmsoco.engine.loader import fit_to_workers, next_batch
from mmsoco.errors import UserError, command
from mmsoco.files import open_regular
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.proposals.checks import check_images
from mmsoco.proposals.store import ProposalStore


def make(kind, path):
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        path.mkdir()
    elif kind == 'device':
        path.symlink_to('/dev/zero')


@pytest.mark.parametrize('kind', ['pipe', 'folder', 'device'])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, kind):
    make(kind, tmp_path / 'a.jpg')
    with pytest.raises(UnreadableImage, match=rf'a\.jpg: is a {kind}, no regular file'):
        read_image(tmp_path / 'a.jpg')
    with pytest.raises(UserError, match='is not a proposal file'):
        ProposalStore.open(tmp_path / 'a.jpg')
    with pytest.raises(OSError, match='no regular file'):
        open_regular(tmp_path / 'a.jpg')


def test_sockets_and_names_that_no_file_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind('a.jpg')
        for name in ('a.jpg', 'a\0b.jpg', 'x' * 300, 'a/' * 3000 + 'b'):
            with pytest.raises(UnreadableImage):
                read_image(name)


def test_a_short_read_is_an_error(tmp_path, images, monkeypatch):
    """As of a file that another process is writing again."""
    path = images / 'first' / '1.jpg'
    size = path.stat().st_size
    real = os.fstat
    monkeypatch.setattr(os, 'fstat', lambda handle: os.stat_result([*real(handle)[:6], size + 9, *real(handle)[7:10]]))
    with pytest.raises(UnreadableImage, match=rf'could be read only up to byte {size} of {size + 9}'):
        read_image(path)


def test_an_error_without_words(monkeypatch):
    def fail(*_):
        raise OSError

    monkeypatch.setattr('mmsoco.images.archives.open_regular', fail)
    with pytest.raises(UnreadableImage, match=r'a\.jpg: OSError'):
        read_image('a.jpg')


def test_a_disk_that_does_not_answer_at_the_start(images, proposal_file, monkeypatch):
    store, hang = ProposalStore.open(proposal_file), threading.Event()
    real = os.path.isfile
    monkeypatch.setattr(os.path, 'isfile', lambda path: hang.wait() if str(path).endswith('4.png') else real(path))
    begin = time.monotonic()
    with pytest.raises(UserError, match=r'first/4\.png does not answer for 0\.3 s; is its disk there'):
        check_images(store, images, patience=0.3)
    assert time.monotonic() - begin < 5
    hang.set()


@pytest.fixture
def hanging(recipe, tiny_options):
    """Options by which the images of some rows hang in their worker."""
    return lambda *rows: (
        tiny_options
        | {
            'custom_imports.imports': ['recording_hooks', 'hanging'],
            'train_dataloader.dataset.pipeline.load': dict(type='HangingLoad', at=rows),
            'train_dataloader.num_workers': 2,
            'train_dataloader.timeout': 3,
        }
    )


def test_a_run_ends_with_the_name_of_what_hangs(recipe, hanging, images, proposal_file, tmp_path, capsys):
    options, begin = hanging(*range(8)), time.monotonic()
    with pytest.raises(SystemExit) as exit_status:
        command(lambda: train(recipe, str(tmp_path), amp=False, options=options))()
    assert exit_status.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    names = [str(images / name) for name in ProposalStore.open(proposal_file).names()]
    assert line.startswith('error: no batch came for 3 s, while ') and sum(name in line for name in names) == 2
    assert 'Traceback' not in line and not [child for child in multiprocessing.active_children() if child.daemon]
    assert time.monotonic() - begin < 30


def test_only_what_hangs_is_named(proposal_file, images):
    import hanging  # noqa: F401, registers the step

    dataset = ProposalDataset(proposal_file, [dict(type='mmsoco.HangingLoad', at=[3])])
    loader = DataLoader(dataset, 1, sampler=[(0, i) for i in range(8)], num_workers=2, timeout=3, collate_fn=list)
    batches = iter(loader)
    for _ in range(3):
        next_batch(batches, loader)
    name = dataset.store[3].file_name
    with pytest.raises(UserError, match=f'while {images / name} was being read; is its disk there'):
        next_batch(batches, loader)
    assert not [child for child in multiprocessing.active_children() if child.daemon]


def test_other_errors_of_a_loader_are_left_alone():
    def broken():
        raise RuntimeError('another')
        yield

    with pytest.raises(RuntimeError, match='another'):
        next_batch(broken(), None)


def test_the_recipes_have_a_bound(recipe):
    assert Config.fromfile(recipe).train_dataloader.timeout == 600


def test_without_workers_there_is_nothing_to_set_of_them():
    settings = dict(batch_size=4, timeout=600, persistent_workers=True, prefetch_factor=2)
    assert fit_to_workers(dict(num_workers=0, **settings)) == dict(num_workers=0, batch_size=4)
    assert fit_to_workers(dict(num_workers=2, **settings)) == dict(num_workers=2, **settings)
