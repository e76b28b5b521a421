import multiprocessing
import os
import socket

import pytest
import torch
from mmengine.config import Config
from torch import distributed
from torch.distributed import FileStore, PrefixStore, TCPStore
from two_processes import in_two_processes

from mmsoco import devices
from mmsoco.engine import processes
from mmsoco.engine.own_cards import require_own_cards
from mmsoco.engine.processes import LAUNCHERS, PORTS, in_company, join, meet, require_devices
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


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_processes_that_no_launcher_started(environ, launcher):
    with pytest.raises(UserError, match=rf'{launcher} is for processes .* {LAUNCHERS[launcher][0]} set; start them by'):
        meet(launcher)


def _meets(rank, port, count, pipe):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1')
    os.environ.update(MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE='True', TORCHELASTIC_RESTART_COUNT=str(count))
    with in_company('pytorch'):
        join(Config({}), 'pytorch')
        value = torch.tensor([rank + 1])
        distributed.all_reduce(value)
        pipe.send(value.item())
    os._exit(int(distributed.is_initialized()))


def test_nodes_that_count_attempts_differently_meet(environ):
    """In a store of the launcher, which has what former attempts left."""
    store = TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    PrefixStore('mmsoco', store).set('asks/1', 'one that died')
    fork = multiprocessing.get_context('fork')
    for counts in ((0, 0), (2, 1)):
        pipes = [fork.Pipe() for _ in counts]
        started = [
            fork.Process(target=_meets, args=(rank, store.port, count, pipes[rank][1]))
            for rank, count in enumerate(counts)
        ]
        for process in started:
            process.start()
        values = [pipe.poll(30) and pipe.recv() for pipe, _ in pipes]
        for process in started:
            process.join(30)
            process.kill()
            process.join()
        assert values == [3, 3] and [process.exitcode for process in started] == [0, 0]


def machine(host, cards, processes=None):
    """Of each process of a machine what it sees."""
    return [(host, [f'{host}-{card}' for card in range(cards)], local) for local in range(processes or cards)]


@pytest.mark.parametrize(
    ('launcher', 'tool', 'count', 'words'),
    [
        (
            'pytorch',
            'train',
            16,
            'on each of 2 nodes NNODES=2 NODE_RANK=0 (1, ... on the others) MASTER_ADDR=FIRST_NODE '
            'mmsoco train CONFIG --processes 8, or GPUS=16 GPUS_PER_NODE=8 tools/slurm_train.sh',
        ),
        ('slurm', 'train', 16, 'GPUS=16 GPUS_PER_NODE=8 tools/slurm_train.sh'),
        ('pytorch', 'train', 12, 'mmsoco train CONFIG --processes 8'),
        ('mpi', 'test', 12, 'mmsoco test CONFIG CHECKPOINT --processes 8'),
    ],
)
def test_more_processes_than_gpus(launcher, tool, count, words):
    with pytest.raises(UserError) as stop:
        require_own_cards(machine('a', 8, count), launcher, tool)
    assert str(stop.value) == f'{count} processes on a, which has 8 GPUs; start {words}'


def test_each_process_has_a_card():
    require_own_cards(machine('a', 8) + machine('b', 8), 'pytorch', 'train')
    require_own_cards(machine('a', 0, 4), 'pytorch', 'train')
    # Each was shown its own, by whatever.
    single = [('a', [f'GPU-{local}'], local) for local in range(4)]
    require_own_cards(single, 'slurm', 'train')
    with pytest.raises(UserError, match='2 processes on b, which has 1 GPUs'):
        require_own_cards(single + machine('b', 1, 2), 'slurm', 'train')
    with pytest.raises(UserError, match='processes on a share a GPU, as process 0 does; let CUDA_VISIBLE_DEVICES'):
        require_own_cards([*single, ('a', ['GPU-0'], 4), ('a', ['GPU-5', 'GPU-6'], 0)], 'slurm', 'train')
    with pytest.raises(UserError, match='process 4 on b has no GPU, and others have one'):
        require_own_cards(single + machine('b', 0, 1), 'slurm', 'train')


@pytest.mark.parametrize('wrong', ['unusable', 'busy'])
def test_a_card_that_cannot_be_used_is_told_to_all(environ, monkeypatch, tmp_path, wrong):
    """Before any waits for a group that cannot be."""

    def prepare(rank):
        environ(LOCAL_RANK='3')
        store = FileStore(str(tmp_path / 'devices'), 2)
        monkeypatch.setattr(processes, '_meeting', processes._Meeting(store, rank, 2, None))
        bad = bool(rank)
        monkeypatch.setattr(devices, 'why_unusable', lambda root: 'bad' if bad and wrong == 'unusable' else None)
        monkeypatch.setattr(processes, 'visible_cards', lambda: [f'GPU-{rank}'])
        monkeypatch.setattr(processes, 'try_device', lambda number: UserError(f'{number} is busy') if bad else None)
        require_devices('pytorch', 'train')

    words = {'unusable': 'bad; --device cpu computes without it', 'busy': '0 is busy'}[wrong]
    assert in_two_processes(prepare, tmp_path) == [f'on {socket.gethostname()} (process 1): {words}'] * 2


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
