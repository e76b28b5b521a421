import contextlib
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.search.isolation import Isolated, Lost


def test_calls_run_one_after_another_in_one_child():
    with Isolated(os.getpid) as pid:
        first = pid()
        assert first != os.getpid()
        assert pid() == first


def test_a_call_that_takes_too_long_is_given_up_and_the_next_one_works():
    with Isolated(time.sleep) as sleep:
        start = time.monotonic()
        with pytest.raises(Lost, match=r'took longer than 0\.2 s'):
            sleep(60, timeout=0.2)
        assert time.monotonic() - start < 30
        assert sleep(0, timeout=30) is None


@pytest.mark.parametrize(
    ('function', 'argument', 'reason'), [(os._exit, 3, 'exit status 3'), (os.abort, None, 'killed by SIGABRT')]
)
def test_a_child_that_dies_is_replaced(function, argument, reason):
    with Isolated(partial(function, *[] if argument is None else [argument])) as call:
        for _ in range(2):
            with pytest.raises(Lost, match=reason):
                call()


def test_errors_come_back():
    with Isolated(int) as number:
        with pytest.raises(ValueError, match='invalid literal'):
            number('x')
        assert number('7') == 7


def test_the_time_to_start_does_not_count():
    with Isolated(abs) as call:
        assert call(-1, timeout=0.2) == 1


def test_opencv_has_no_threads_in_the_child():
    import cv2

    with Isolated(cv2.getNumThreads) as threads:
        assert threads() == 1
    with Isolated(os.getenv) as environment:
        assert environment('OMP_NUM_THREADS') == '1'


def test_a_child_that_left_for_want_of_calls_is_replaced(monkeypatch):
    monkeypatch.setattr('mmsoco.proposals.search.isolation._IDLE', 0.1)
    with Isolated(os.getpid) as pid:
        first = pid()
        deadline = time.monotonic() + 30
        while Path(f'/proc/{first}/stat').read_text().split()[2] != 'Z':
            assert time.monotonic() < deadline, 'the child stays'
            time.sleep(0.02)
        assert pid() != first


PARENT = """
import os
import time

from mmsoco.proposals.search.isolation import Isolated

if __name__ == '__main__':
    call = Isolated(time.sleep)
    call(0)
    print(call._child.pid, flush=True)
    call(3600)
"""


def test_a_child_that_hangs_ends_with_its_parent():
    parent = subprocess.Popen([sys.executable, '-c', PARENT], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    with contextlib.suppress(FileNotFoundError):
        while Path(f'/proc/{child}/stat').read_text().split()[2] != 'Z':
            assert time.monotonic() < deadline, 'the child outlives its parent'
            time.sleep(0.02)


def test_any_timeout_is_understood():
    with Isolated(abs) as call:
        assert call(-1, timeout=float('inf')) == 1


def test_a_child_that_cannot_start_is_explained(monkeypatch):
    monkeypatch.setattr(sys, 'executable', '/bin/false')
    with pytest.raises(UserError, match=r'a process for images could not start \(exit status 1\)'):
        Isolated(os.getpid)()


def test_closing_ends_the_child():
    call = Isolated(os.getpid)
    pid = call()
    call.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
