"""Every moment belongs to the innermost part that is open."""

import pytest
import torch
from clock import Clock, matmul_rate, seconds_of, spread


class Ticks:
    """A clock that a test puts forward."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


def some_step(clock, ticks):
    clock.take()
    ticks.time += 1
    with clock.part('forward'):
        ticks.time += 2
        with clock.part('target'):
            ticks.time += 3
        ticks.time += 4
    ticks.time += 5
    return clock.take()


EXPECTED = {'rest': 6, 'forward': 6, 'target': 3}


def test_parts_inside_parts():
    ticks = Ticks()
    clock = Clock('cpu', ticks)
    assert seconds_of(some_step(clock, ticks)) == EXPECTED
    # What came before, and lies between two steps, is not counted twice.
    ticks.time += 7
    assert seconds_of(clock.take()) == {'rest': 7}


def test_events_of_a_device_are_read_later(monkeypatch):
    ticks = Ticks()

    class Event:
        def __init__(self, enable_timing=False):
            assert enable_timing

        def record(self):
            self.time = ticks()

        def elapsed_time(self, end):
            return 1000 * (end.time - self.time)

    def wait(*_):
        raise AssertionError('the device is waited for')

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(torch.cuda, 'synchronize', wait)
    assert seconds_of(some_step(Clock('cuda', now=None), ticks)) == EXPECTED


def test_methods_are_watched():
    ticks = Ticks()

    class Work:
        def run(self, name, seconds):
            ticks.time += seconds
            return name

    work, clock = Work(), Clock('cpu', ticks)
    clock.watch(work, 'run', lambda name, seconds: f'run {name}')
    assert work.run('a', seconds=2) == 'a' and work.run('b', 3) == 'b'
    assert seconds_of(clock.take()) == {'rest': 0, 'run a': 2, 'run b': 3}
    with pytest.raises(TypeError):
        work.run('c', 'x')
    ticks.time += 1
    assert seconds_of(clock.take()) == {'rest': 1, 'run c': 0}


def test_matmul_rate():
    ticks = Ticks()

    def now():
        ticks.time += 0.5
        return ticks.time

    # A part is one tick.
    assert matmul_rate('cpu', torch.float32, side=10, rounds=3, now=now) == 2 * 10**3 / 0.5


def test_spread():
    assert spread([3, 1, 8]) == {'median': 3, 'lowest': 1, 'highest': 8}
