"""Promise 10: what killed writers left goes at the next start, and nothing escapes ``max_keep_ckpts``.

That bound: ``tests/engine/hooks/test_checkpoint.py`` and ``test_kills.py``.
"""

import os
import signal
import time

import pytest

from mmsoco.files import atomic_path, remove_leftovers


def die_while_writing(path):
    """In another process."""
    child = os.fork()
    if not child:
        with atomic_path(path) as temporary:
            temporary.write_text('half')
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = path.parent.glob('.*')
    return left


def test_the_next_writer_removes_what_a_dead_one_left(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    left = die_while_writing(path)
    assert not path.exists()
    with atomic_path(tmp_path / 'epoch_2.pth') as temporary:
        assert left.exists() and temporary.exists()
    with atomic_path(path) as temporary:
        assert not left.exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {'epoch_1.pth', 'epoch_2.pth'}


def test_a_start_removes_all_but_what_is_being_written(tmp_path):
    left = die_while_writing(tmp_path / 'epoch_1.pth')
    (tmp_path / '.hidden.pth').touch()
    elsewhere = left.with_name(left.name.replace(left.name.split('-')[1][:8], '01234567'))
    elsewhere.touch()
    with atomic_path(tmp_path / 'epoch_2.pth') as temporary:
        remove_leftovers(tmp_path)
        assert not left.exists() and temporary.exists() and elsewhere.exists()
    day = time.time() - 90_000
    os.utime(elsewhere, (day, day))
    remove_leftovers(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {'epoch_2.pth', '.hidden.pth'}


@pytest.mark.parametrize('name', ['x' * 250 + '.pth', '.hidden', 'a.tar.gz', 'ü.pth'])
def test_any_name_can_be_written(tmp_path, name):
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_text('whole')
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
