import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from mmsoco.engine.leaving import Company
from mmsoco.files import finishing


def _run(act, rank, size, port, folder):
    descriptor = os.open(folder / f'said_{rank}', os.O_CREAT | os.O_WRONLY)
    os.dup2(descriptor, 2)
    sys.stderr = os.fdopen(2, 'w')
    Company.GRACE = 0.3
    store = TCPStore('127.0.0.1', port, is_master=rank == 0, wait_for_workers=False)
    watched = TCPStore('127.0.0.1', port, wait_for_workers=False)
    os._exit(act(Company(store, watched, rank, size), rank, folder) or 0)


@pytest.fixture
def ends(tmp_path):
    """Of processes that act in company: exit statuses, and what each printed."""
    fork = multiprocessing.get_context('fork')

    def run(act, size=2):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        processes = [fork.Process(target=_run, args=(act, rank, size, port, tmp_path)) for rank in range(size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
            process.kill()
            process.join()
        return [process.exitcode for process in processes], [(tmp_path / f'said_{n}').read_text() for n in range(size)]

    return run


def test_both_have_something_to_say(ends):
    def act(company, rank, folder):
        time.sleep(0.2 * (1 - rank))  # the second one is first
        return company.leave('error', f'of {rank}', 2)

    assert ends(act) == ([2, 2], ['error: of 0\n', ''])


@pytest.mark.parametrize('leaving', [0, 1])
def test_one_ends_the_other_which_would_wait_for_ever(ends, leaving):
    def act(company, rank, folder):
        if rank != leaving:
            time.sleep(100)
        return company.leave('stopped', 'enough', 143)

    words = 'stopped: process 1: enough\n' if leaving else 'stopped: enough\n'
    assert ends(act) == ([143, 143], [words, ''])


def test_who_writes_is_waited_for(ends, tmp_path):
    def act(company, rank, folder):
        if rank == 0:
            with finishing():
                time.sleep(2)
                Path(folder, 'file').write_text('whole')
            time.sleep(100)
        return company.leave('error', 'no more', 2)

    assert ends(act) == ([2, 2], ['error: process 1: no more\n', ''])
    assert (tmp_path / 'file').read_text() == 'whole'


def test_an_error_that_is_another_ones_fault(ends):
    """A lost connection, while the other one says what is wrong."""

    def act(company, rank, folder):
        if rank:
            return company.leave('error', 'no data', 2)
        while (status := company.leave('error', None, 1)) is None:
            time.sleep(0.01)
        return status

    assert ends(act) == ([2, 2], ['error: process 1: no data\n', ''])


def test_nobody_waits_for_a_dead_one_longer_than_the_launcher(ends):
    def act(company, rank, folder):
        if rank:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.setitimer(signal.ITIMER_REAL, 1)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        return company.leave('error', 'no data', 2)

    assert ends(act) == ([2, -signal.SIGKILL], ['error: no data\n', ''])


def test_at_the_end_of_a_run_the_first_waits(ends):
    def act(company, rank, folder):
        begin = time.monotonic()
        time.sleep(rank)
        company.finish()
        return int(not rank and time.monotonic() - begin < 0.9)

    assert ends(act) == ([0, 0], ['', ''])


def test_nothing_else_is_said_by_many(ends):
    """torch prints a stack trace where the store is gone that a process asks, as of a watch."""

    def finishing_one_by_one(company, rank, folder):
        time.sleep(0.1 * rank)
        company.finish()
        time.sleep(1 if rank else 0)

    assert ends(finishing_one_by_one, 6) == ([0] * 6, [''] * 6)

    def leaving(company, rank, folder):
        if rank == 4:
            return company.leave('error', 'no data', 2)
        if rank % 2:
            time.sleep(100)
        while (status := company.leave('error', None, 1)) is None:
            time.sleep(0.01)
        time.sleep(1 if rank else 0)
        return status

    assert ends(leaving, 6) == ([2] * 6, ['error: process 4: no data\n', *[''] * 5])


def test_an_error_while_others_have_finished(ends):
    """As of the first process, which writes a test's results."""

    def act(company, rank, folder):
        if rank:
            company.finish()
            return 1
        return company.leave('error', 'the disk is full', 2)

    assert ends(act) == ([2, 2], ['error: the disk is full\n', ''])


def test_time_to_end_begins_when_a_file_is_written(ends, tmp_path):
    def act(company, rank, folder):
        if rank == 0:
            with finishing():
                time.sleep(1.5)
            time.sleep(0.2)
            Path(folder, 'file').write_text('as well')
            time.sleep(100)
        return company.leave('error', 'no more', 2)

    ends(act)
    assert (tmp_path / 'file').exists()


def test_a_line_is_not_lost_with_the_store(ends):
    def act(company, rank, folder):
        time.sleep(0.5 + rank)
        if rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return company.leave('error', 'no data', 2)

    statuses, (_, words) = ends(act)
    assert statuses == [-signal.SIGKILL, 2] and words.endswith('error: process 1: no data\n')
