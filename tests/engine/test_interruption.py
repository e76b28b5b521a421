import multiprocessing
import os
import signal
import time

import pytest

from mmsoco.engine.interruption import StopSignals, follow_parent, shield_worker, stop_signals
from mmsoco.errors import Stopped


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # for Python to run the handler


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signals_are_remembered_while_steps_run_and_end_the_process_before(number):
    former = signal.getsignal(number)
    with StopSignals() as signals:
        with pytest.raises(Stopped, match=f'by {number.name} before the first step') as stop:
            send(number)
        assert stop.value.status == 128 + number
        signals.number, signals.training = 0, True
        send(number)
        assert signals.number == number
    assert signal.getsignal(number) is former


def test_a_second_ctrl_c_does_not_wait_but_a_launchers_does(monkeypatch):
    with StopSignals() as signals:
        signals.training = True
        send(signal.SIGINT)
        with pytest.raises(Stopped, match='in the middle of a step'):
            send(signal.SIGINT)
        monkeypatch.setenv('RANK', '0')
        send(signal.SIGINT)
        assert signals.number == signal.SIGINT


def test_children_end_by_signals_as_ever():
    with stop_signals:
        stop_signals.begin_training()
        with multiprocessing.get_context('fork').Pool(2) as pool:
            assert pool.map(abs, [-1, 2]) == [1, 2]
        # Leaving it has ended its processes by SIGTERM, and waited for them.
        child = forked(lambda: None)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert stop_signals.number == 0


def test_a_signal_for_a_child_that_has_just_begun_is_not_lost():
    """It comes before the handlers are forgotten, which would take it for their own process'."""
    with stop_signals:
        stop_signals.begin_training()
        for _ in range(200):
            child = os.fork()
            if not child:
                time.sleep(20)
                os._exit(0)
            os.kill(child, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert stop_signals.number == 0
        # And this process still hears its own.
        send(signal.SIGTERM)
        assert stop_signals.number == signal.SIGTERM


def forked(act):
    """The number of another process that runs a function and stays for 20 seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        act()
        os.write(writer, b'1')
        time.sleep(20)
        os._exit(3)
    os.read(reader, 1)
    return child


def test_a_workers_parent_alone_ends_it():
    called = []
    child = forked(lambda: shield_worker(called.append, 5))
    os.kill(child, signal.SIGINT)
    stranger = os.fork()
    if not stranger:
        os.kill(child, signal.SIGTERM)
        os._exit(0)
    os.waitpid(stranger, 0)
    time.sleep(0.2)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0) == (child, 0)


def test_workers_still_do_what_they_were_configured_to_do(tmp_path):
    child = forked(lambda: shield_worker(lambda number: (tmp_path / str(number)).touch(), 5))
    assert [path.name for path in tmp_path.iterdir()] == ['5']
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_an_orphan_ends(tmp_path):
    def leave_an_orphan():
        if not os.fork():
            signal.signal(signal.SIGTERM, lambda *_: (tmp_path / 'stopped').touch())
            follow_parent(grace=0.2)
            (tmp_path / str(os.getpid())).touch()
            time.sleep(20)
            os._exit(0)
        while not list(tmp_path.iterdir()):
            time.sleep(0.05)
        os._exit(0)

    child = os.fork()
    if not child:
        leave_an_orphan()
    os.waitpid(child, 0)
    (file,) = tmp_path.iterdir()
    for _ in range(100):
        if not is_alive(int(file.name)):
            break
        time.sleep(0.1)
    assert not is_alive(int(file.name)) and (tmp_path / 'stopped').exists()


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # One that nobody has waited for is dead, too.
    with open(f'/proc/{process}/stat') as file:
        return file.read().rpartition(')')[2].split()[0] != 'Z'
