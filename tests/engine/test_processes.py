import os
import socket

import pytest
import torch
from mmengine.config import Config

from mmsoco.engine import processes
from mmsoco.engine.processes import LAUNCHERS, PORTS, join, meet, require_devices
from mmsoco.errors import RANKS, UserError, rank

OURS = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'PORT')


@pytest.fixture
def environ(monkeypatch):
    """Sets variables, and leaves no other one of a launcher."""
    for name in list(os.environ):
        if name in OURS or name.startswith(('SLURM_', 'OMPI_', 'PMIX_')):
            monkeypatch.delenv(name)

    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def gpus(monkeypatch):
    """Lets there be so many."""

    def let(count):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)

    return let


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_processes_that_no_launcher_started(environ, launcher):
    with pytest.raises(UserError, match=rf'{launcher} is for processes .* {LAUNCHERS[launcher][0]} set; start them by'):
        meet(launcher)


@pytest.mark.parametrize('number', ['0', '15'])
def test_more_processes_than_gpus(environ, gpus, number):
    gpus(8)
    environ(LOCAL_RANK=number, LOCAL_WORLD_SIZE='16', WORLD_SIZE='16')
    with pytest.raises(UserError) as stop:
        require_devices('pytorch')
    assert str(stop.value) == (
        f'16 processes on {socket.gethostname()}, which has 8 GPUs; start on each of 2 nodes NNODES=2 NODE_RANK=0 (1, '
        '... on the others) MASTER_ADDR=FIRST_NODE tools/dist_train.sh CONFIG 8, or GPUS=16 GPUS_PER_NODE=8 '
        'tools/slurm_train.sh'
    )


def test_as_many_processes_as_gpus_and_gpus_that_slurm_shows_one_by_one(environ, gpus):
    gpus(8)
    environ(LOCAL_RANK='7', LOCAL_WORLD_SIZE='8', WORLD_SIZE='16')
    require_devices('pytorch')
    environ(LOCAL_RANK='8', WORLD_SIZE='16')
    with pytest.raises(UserError, match='start GPUS=16 GPUS_PER_NODE=8 tools/slurm_train'):
        require_devices('slurm')
    gpus(1)
    environ(LOCAL_RANK='3', SLURM_GPUS_PER_TASK='1')
    require_devices('slurm')
    assert os.environ['LOCAL_RANK'] == '0'


TASK = dict(SLURM_PROCID='9', SLURM_NTASKS='16', SLURM_NODELIST='gpu[3-4]', SLURM_LOCALID='1', SLURM_NNODES='2')


def test_a_task_of_slurm(environ, monkeypatch):
    environ(**TASK, SLURM_JOB_ID='4711', SLURM_STEP_ID='0', SLURM_NTASKS_PER_NODE='8')
    monkeypatch.setattr(processes, '_first_host', {'gpu[3-4]': 'gpu3'}.get)
    variables = processes._from_slurm()
    port = variables.pop('MASTER_PORT')
    expected = dict(RANK='9', WORLD_SIZE='16', LOCAL_RANK='1', LOCAL_WORLD_SIZE='8', MASTER_ADDR='gpu3')
    assert variables == expected and int(port) in PORTS
    # All tasks of a job have one port, jobs and steps others, and PORT goes before.
    environ(SLURM_PROCID='3')
    assert processes._from_slurm()['MASTER_PORT'] == port
    ports = {port}
    for job in ('4712', '4713'):
        for step in '01':
            environ(SLURM_JOB_ID=job, SLURM_STEP_ID=step)
            ports.add(processes._from_slurm()['MASTER_PORT'])
    assert len(ports) == 5
    environ(PORT='1234')
    assert processes._from_slurm()['MASTER_PORT'] == '1234'


def test_slurm_on_one_node_needs_no_scontrol(environ, monkeypatch):
    monkeypatch.setenv('PATH', '')
    environ(**TASK)
    with pytest.raises(UserError, match=r'scontrol does not say which node of gpu\[3-4\] .*; set MASTER_ADDR'):
        processes._from_slurm()
    environ(SLURM_NNODES='1')
    assert processes._from_slurm()['MASTER_ADDR'] == '127.0.0.1'


def test_a_process_of_mpirun(environ):
    environ(OMPI_COMM_WORLD_RANK='3', OMPI_COMM_WORLD_LOCAL_RANK='1', OMPI_COMM_WORLD_SIZE='4')
    with pytest.raises(UserError, match='add -x MASTER_ADDR=FIRST_NODE'):
        processes._from_mpi()
    environ(OMPI_COMM_WORLD_LOCAL_SIZE='4')
    variables = processes._from_mpi()
    assert variables['MASTER_ADDR'] == '127.0.0.1' and variables['RANK'] == '3' and variables['WORLD_SIZE'] == '4'


@pytest.mark.parametrize('value', ['an hour', 0, -1, True, None])
def test_a_timeout_is_a_number_of_seconds(value):
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=value))))
    with pytest.raises(UserError, match=r'dist_cfg.timeout .* is not a number of seconds; set 3600'):
        join(cfg, 'pytorch')


def test_the_shared_configs_have_a_timeout(recipe, root):
    transfer = [
        root / f'configs/transfer/{name}.py'
        for name in ('coco/mask-rcnn_r50fpn_soco_1x', 'lvis/mask-rcnn_r50fpn_soco_1x')
    ]
    for config in (recipe, *transfer):
        assert Config.fromfile(config).env_cfg.dist_cfg == dict(backend='nccl', timeout=3600)


def test_ranks_are_known_by_each_launchers_own_variable(environ):
    assert rank() == 0
    for name in reversed(RANKS):
        environ(**{name: '2'})
        assert rank() == 2
