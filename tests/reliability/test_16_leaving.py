"""Promise 16: the processes of a run end together, one line says why, and nobody is killed who writes."""

import socket

import pytest
import torch
from running import start_training


def end_of(config, folder, options, *arguments, **environment):
    """Exit status of a run of two processes, and what it printed on stderr."""
    run = start_training(config, folder, options, 2, *arguments, **environment)
    status = run.process.wait(150)
    return status, run.errors.read_text().strip().splitlines()


@pytest.mark.slow
def test_a_diverged_run_keeps_its_weights(recipe, tiny_options, tmp_path):
    options = tiny_options | {
        'default_hooks.health.max_skips': 2,
        'default_hooks.poison.type': 'PoisonHook',
        'default_hooks.slow.type': 'SlowSaveHook',
    }
    status, lines = end_of(recipe, tmp_path, options)
    assert status == 2 and len(lines) == 1 and lines[0].startswith('error: gradients were not finite in 2 steps'), lines
    assert torch.load(tmp_path / 'run/stopped.pth', weights_only=True)['meta']['iter'] == 3
    assert not list((tmp_path / 'run').glob('.*'))


@pytest.mark.slow
@pytest.mark.parametrize('ranks', ['[0]', '[1]', '[0,1]'])
def test_an_error_of_some_is_said_once(recipe, tiny_options, tmp_path, ranks):
    options = tiny_options | {'default_hooks.refuse.type': 'RefuseHook', 'default_hooks.refuse.ranks': ranks}
    status, lines = end_of(recipe, tmp_path, options)
    of = 'process 1: ' if ranks == '[1]' else ''
    assert (status, lines) == (2, [f'error: {of}this is refused'])


@pytest.mark.slow
def test_processes_that_hold_different_weights_do_not_begin(recipe, tiny_options, tmp_path):
    status, lines = end_of(recipe, tmp_path, tiny_options | {'default_hooks.other.type': 'OtherWeightsHook'})
    host = socket.gethostname()
    assert status == 2 and len(lines) == 1
    assert lines[0].startswith(f'error: process 1 on {host} has other weights than process 0 on {host} (parameters): ')
    assert not list((tmp_path / 'run').glob('*.pth'))


@pytest.mark.slow
def test_two_runs_at_once_on_a_node(recipe, tiny_options, tmp_path):
    """They meet at ports of their own, and torch has nothing to say when they leave."""
    runs = []
    for name in 'ab':
        (tmp_path / name).mkdir()
        runs.append(
            start_training(recipe, tmp_path / name, tiny_options, 2, PYTHONWARNINGS='default::UserWarning:torch')
        )
    assert [run.process.wait(150) for run in runs] == [0, 0]
    assert all('destroy_process_group' not in run.errors.read_text() for run in runs)
    assert all((run.work_dir / 'epoch_2.pth').exists() for run in runs)


TASKS = {
    'slurm': lambda rank: dict(
        SLURM_PROCID=str(rank),
        SLURM_LOCALID=str(rank),
        SLURM_NTASKS='2',
        SLURM_NNODES='1',
        SLURM_NODELIST='here',
        SLURM_JOB_ID='4711',
    ),
    'mpi': lambda rank: dict(
        OMPI_COMM_WORLD_RANK=str(rank),
        OMPI_COMM_WORLD_LOCAL_RANK=str(rank),
        OMPI_COMM_WORLD_SIZE='2',
        OMPI_COMM_WORLD_LOCAL_SIZE='2',
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(('launcher', 'refusing'), [('slurm', True), ('mpi', False)])
def test_processes_of_other_launchers(recipe, tiny_options, tmp_path, free_port, launcher, refusing):
    """By gloo, with the variables of Slurm and of Open MPI's mpirun alone; an error of the second one is said once."""
    options = tiny_options
    if refusing:
        options |= {'default_hooks.refuse.type': 'RefuseHook', 'default_hooks.refuse.ranks': '[1]'}
    tasks = []
    for rank in range(2):
        folder = tmp_path / str(rank)
        folder.mkdir()
        environment = dict(TASKS[launcher](rank), PORT=str(free_port))
        arguments = ('--launcher', launcher, '--work-dir', tmp_path / 'run')
        tasks.append(start_training(recipe, folder, options, 1, *arguments, **environment))
    assert [task.process.wait(150) for task in tasks] == [2 * refusing] * 2, tasks[0].errors.read_text()[-2000:]
    lines = [task.errors.read_text().strip() for task in tasks]
    assert lines == (['error: process 1: this is refused', ''] if refusing else ['', ''])
    assert (tmp_path / 'run/epoch_2.pth').exists() != refusing
