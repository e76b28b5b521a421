"""Promise 8: on SIGTERM and Ctrl-C a run finishes its step, saves, says how to go on, and exits with 143 or 130."""

import os
import signal

import pytest
import torch
from running import counted_in_steps, descendants_of, start_training, until


@pytest.fixture
def endless(tiny_options):
    """A run that ends only when it is told to."""
    return (
        tiny_options
        | counted_in_steps(10_000)
        | {
            'train_dataloader.num_workers': 1,
            'train_dataloader.persistent_workers': True,
        }
    )


def stop(number, run):
    """Send a signal once a checkpoint is there; the status, and what was printed last."""
    until(lambda: list(run.work_dir.glob('iter_*.pth')), run)
    if number == signal.SIGINT:
        os.killpg(run.process.pid, number)  # as a terminal does
    else:
        run.process.send_signal(number)
    status = run.process.wait(60)
    lines = run.errors.read_text().strip().splitlines()
    steps = [int(path.stem.removeprefix('iter_')) for path in run.work_dir.glob('iter_*.pth')]
    saved = run.work_dir / f'iter_{max(steps)}.pth'
    assert torch.load(saved, weights_only=True)['meta']['iter'] == max(steps)
    assert lines[-1] == (
        f'stopped: by {signal.Signals(number).name} after step {max(steps)}; {saved} is saved; the same command with '
        '--resume goes on'
    )
    assert 'Traceback' not in run.errors.read_text()
    assert not list(run.work_dir.glob('.*')) and not (run.work_dir / 'run.lock').exists()
    return status


@pytest.mark.slow
@pytest.mark.parametrize('processes', [1, 2])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_run_is_stopped(recipe, endless, tmp_path, processes, number):
    run = start_training(recipe, tmp_path, endless, processes)
    assert stop(number, run) == 128 + number
    if processes == 2:
        assert len(run.errors.read_text().strip().splitlines()) == 1


@pytest.mark.slow
def test_a_signal_to_all_processes_stops_a_run_as_one(recipe, endless, tmp_path):
    """As Slurm sends it, to loader workers and all."""
    run = start_training(recipe, tmp_path, endless, 1)
    until(lambda: list(run.work_dir.glob('iter_*.pth')), run)
    for process in descendants_of(run.process.pid):
        os.kill(process, signal.SIGTERM)
    assert stop(signal.SIGTERM, run) == 143
