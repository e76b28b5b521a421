"""Promise 12, of files besides images: one that could be waited for without end is refused, by one line."""

import os
import signal

import pytest

from mmsoco.checkpoints.files import check_whole, read_checkpoint, read_meta, read_safetensors
from mmsoco.config import read_config
from mmsoco.engine.hooks.bad_images import read_bad_images
from mmsoco.errors import UserError
from mmsoco.images.lists import read_list
from mmsoco.images.mini_coco import read_annotations
from mmsoco.proposals.store import ProposalStore

#: Ending -> the functions that read such files.
READERS = {
    'list.txt': [read_list],
    'a.json': [read_annotations, read_config],
    'a.py': [read_config],
    'a.arrow': [ProposalStore, ProposalStore.open],
    'a.pth': [read_checkpoint, read_meta, check_whole],
    'a.safetensors': [read_safetensors],
    'bad_images.csv': [read_bad_images],
}


@pytest.fixture
def in_time():
    """SIGALRM ends what waits."""

    def late(*args):
        raise AssertionError('it waits')

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def a_pipe(path):
    os.mkfifo(path)


def a_device(path):
    path.symlink_to('/dev/zero')


def a_socket(path):
    import socket

    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(path))


def a_folder(path):
    path.mkdir()


def a_dangling_link(path):
    path.symlink_to('gone')


@pytest.mark.parametrize('make', [a_pipe, a_device, a_socket, a_folder, a_dangling_link])
@pytest.mark.parametrize(('name', 'read'), [(name, read) for name, all_ in READERS.items() for read in all_])
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch, in_time, make, name, read):
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    make(tmp_path / name)
    with pytest.raises((UserError, OSError)) as error:
        read(tmp_path / name)
    assert name in str(error.value) and '\n' not in str(error.value)
    assert isinstance(error.value, UserError) or read is read_bad_images
