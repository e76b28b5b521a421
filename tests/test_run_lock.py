import errno
import fcntl
import json
import os
import time

import pytest

from mmsoco.errors import UserError
from mmsoco.run_lock import NAME, RunLock


def elsewhere(act):
    """What a function returns in another process, which dies without tidying up."""
    reader, writer = os.pipe()
    if not os.fork():
        try:
            words = act()
        except UserError as error:
            words = f'refused: {error}'
        os.write(writer, str(words).encode())
        os._exit(0)
    os.wait()
    os.close(writer)
    with os.fdopen(reader) as file:
        return file.read()


def test_the_second_run_is_refused_and_told_which_is_there(tmp_path):
    lock = RunLock(tmp_path / 'run')
    lock.acquire()
    refusal = elsewhere(RunLock(tmp_path / 'run').acquire)
    assert refusal.startswith(f'refused: {tmp_path}/run is in use by another run ({os.uname().nodename}, process ')
    assert f'process {os.getpid()}, since 2' in refusal
    lock.release()
    assert not (tmp_path / 'run').exists()
    assert elsewhere(RunLock(tmp_path / 'run').acquire) == 'None'


def test_a_dead_run_has_no_lock(tmp_path):
    assert elsewhere(RunLock(tmp_path).acquire) == 'None'
    dead = json.loads((tmp_path / NAME).read_text())
    assert dead['pid'] != os.getpid()
    lock = RunLock(tmp_path)
    lock.acquire()
    assert json.loads((tmp_path / NAME).read_text())['pid'] == os.getpid()
    lock.release()


@pytest.fixture
def no_locks(monkeypatch):
    """A disk that knows none."""

    def refuse(*args):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'lockf', refuse)


def test_without_locks_a_process_of_that_number_is_taken_for_the_run(tmp_path, no_locks):
    holder = {'host': os.uname().nodename, 'pid': os.getpid(), 'start': 'today'}
    (tmp_path / NAME).write_text(json.dumps(holder))
    with pytest.raises(UserError, match='in use by another run'):
        RunLock(tmp_path).acquire()
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / NAME).write_text(json.dumps({**holder, 'pid': child}))
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize('locks', [True, False])
def test_a_run_elsewhere_is_alive_while_its_file_is_renewed(tmp_path, request, locks):
    if not locks:
        request.getfixturevalue('no_locks')
    file = tmp_path / NAME
    file.write_text(json.dumps({'host': 'another', 'pid': 1, 'start': 'yesterday'}))
    with pytest.raises(UserError, match=r'in use by another run \(another, process 1, since yesterday\)'):
        RunLock(tmp_path).acquire()
    silent = time.time() - RunLock.SILENCE - 1
    os.utime(file, (silent, silent))
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_run_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(RunLock, 'HEARTBEAT', 0.01)
    lock = RunLock(tmp_path)
    lock.acquire()
    os.utime(tmp_path / NAME, (0, 0))
    for _ in range(500):
        if (tmp_path / NAME).stat().st_mtime:
            break
        time.sleep(0.01)
    assert (tmp_path / NAME).stat().st_mtime > 0
    lock.release()


def test_a_file_that_a_run_had_no_time_to_write_is_nobodys(tmp_path):
    (tmp_path / NAME).write_text('{"host": ')
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


def test_no_folder_can_be_made(tmp_path):
    (tmp_path / 'file').touch()
    for folder in ('file', 'file/run'):
        with pytest.raises(UserError, match=r'cannot be a work folder .*; name another one: --work-dir'):
            RunLock(tmp_path / folder).acquire()


@pytest.mark.parametrize('number', [errno.EPERM, errno.ENOSYS])
def test_signs_of_life_on_a_disk_that_sets_no_times(tmp_path, monkeypatch, number):
    """What is written there has a time."""
    lock = RunLock(tmp_path)
    lock.acquire()
    os.utime(tmp_path / NAME, (0, 0))
    words = (tmp_path / NAME).read_bytes()

    def refuse(*args):
        raise OSError(number, 'no')

    monkeypatch.setattr(os, 'utime', refuse)
    lock._renew()
    assert (tmp_path / NAME).stat().st_mtime > 0 and (tmp_path / NAME).read_bytes() == words
    lock.release()
