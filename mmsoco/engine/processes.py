"""How the processes of a run find each other, whoever has started them."""

import json
import os
import socket
import subprocess
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from torch import distributed
from torch.distributed import PrefixStore, Store, TCPStore
from torch.distributed.rendezvous import rendezvous

from mmsoco.devices import require_usable, try_device, visible_cards
from mmsoco.engine.interruption import follow_parent
from mmsoco.engine.leaving import Company
from mmsoco.engine.own_cards import require_own_cards
from mmsoco.engine.together import Together, everywhere, raise_shared
from mmsoco.errors import UserError, leave_with, reason

#: Who may have started the processes, and the environment variables that tell each of them so.
LAUNCHERS = {
    'none': (),
    'pytorch': ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE'),
}
#: How long processes wait for the last one to begin.
MEETING = timedelta(minutes=10)
#: Seconds that processes wait for each other where a config says nothing: the first one alone computes the metrics of
#: an evaluation, which takes 12 minutes on LVIS, and NCCL's own 10 would end the run.
TIMEOUT = 3600
#: Ports to be chosen from a job's number: below those that systems hand out by themselves.
PORTS = range(12000, 32000)


@dataclass
class _Meeting:
    """What the processes found each other by."""

    store: Store
    rank: int
    size: int
    company: Company


_meeting: _Meeting | None = None


def meet(launcher: str) -> None:
    """Find the other processes; from now on all end together, see :class:`~mmsoco.engine.leaving.Company`.

    Afterwards the environment has torchrun's variables, whoever started the processes.

    Raises:
        UserError: The launcher has not started this process; or the others cannot be found.
    """
    global _meeting
    if launcher == 'none' or _meeting is not None or distributed.is_initialized():
        leave_with(_meeting and _meeting.company)
        return
    missing = [name for name in LAUNCHERS[launcher] if name not in os.environ]
    if missing:
        raise UserError(
            f'--launcher {launcher} is for processes that it has started, which have {missing[0]} set; start them by '
            'mmsoco train --processes, dist_train.sh, dist_test.sh or slurm_train.sh of tools, or leave --launcher out'
        )
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        follow_parent()
    if launcher != 'pytorch':
        os.environ.update(_from_slurm() if launcher == 'slurm' else _from_mpi())
    host, port = os.environ['MASTER_ADDR'], os.environ['MASTER_PORT']
    try:
        store, rank, size = next(rendezvous('env://', timeout=MEETING))
        watched = TCPStore(host, int(port), timeout=MEETING, wait_for_workers=False)
        # torch's own prefix has the number of the attempt, which each node counts by itself.
        store = store.underlying_store if isinstance(store, PrefixStore) else store
        attempt = _attempt(PrefixStore('mmsoco', store), rank, size)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f'processes do not find each other at {host}:{port} ({reason(error, bare=True)}); look whether the first '
            'one runs there, or choose another port: PORT=29501'
        ) from None
    store, watched = (PrefixStore(f'mmsoco/{attempt}', part) for part in (store, watched))
    _meeting = _Meeting(store, rank, size, Company(store, watched, rank, size, _part))
    leave_with(_meeting.company)


def _attempt(store: Store, rank: int, size: int) -> str:
    """A name that the first process gives this attempt, in all of its processes.

    A launcher's store may outlive the processes that it starts again, with all that they
    left in it. So each asks by a word of its own, which the first one answers.
    """
    name = uuid.uuid4().hex
    if rank:
        store.set(f'asks/{rank}', name)
        attempt = store.get(f'answer/{name}').decode()  # waits for it
        store.set(f'heard/{attempt}/{rank}', '')
        return attempt
    others, end = set(range(1, size)), time.monotonic() + MEETING.total_seconds()
    while others := {other for other in others if not store.check([f'heard/{name}/{other}'])}:
        for other in others:
            if store.check([f'asks/{other}']):
                store.set(f'answer/{store.get(f"asks/{other}").decode()}', name)
        if time.monotonic() > end:
            raise UserError(f'process {min(others)} has not begun; look into its output, and start all again')
        time.sleep(0.02)
    return name


@contextmanager
def in_company(launcher: str) -> Iterator[None]:
    """:func:`meet`, and part at the end; whoever raises leaves by :func:`mmsoco.errors.command`.

    On leaving the others are waited for: one of them has what the others may still ask for.
    """
    global _meeting
    meet(launcher)
    yield
    if _meeting is not None:
        _meeting.company.finish()
        leave_with(None)
        _meeting = None


def join(cfg: Config, launcher: str) -> None:
    """Make the process group of those that have met.

    Args:
        cfg: Its ``env_cfg.dist_cfg`` says by what they talk where there is CUDA, else it is gloo; and in ``timeout``,
            seconds, how long they wait for each other.

    Raises:
        UserError: The timeout is no number of seconds; or a port is set, which is chosen elsewhere.
    """
    if launcher == 'none' or distributed.is_initialized():
        return
    options = {'timeout': TIMEOUT, **cfg.get('env_cfg', {}).get('dist_cfg', {})}
    timeout = options['timeout']
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise UserError(f'env_cfg.dist_cfg.timeout {timeout!r} is not a number of seconds; set 3600, for instance')
    if options.pop('port', None) is not None:
        raise UserError('env_cfg.dist_cfg.port is not read; leave it out, and set the environment variable PORT')
    Together.timeout = timedelta(seconds=timeout)
    ours = {'store': PrefixStore('group', _meeting.store), 'rank': _meeting.rank, 'world_size': _meeting.size}
    if torch.cuda.is_available():
        # Its launchers differ in the environment alone, which is torchrun's by now.
        init_dist('pytorch', **options, **ours)
    else:
        # mmengine's init_dist wants a GPU for each process.
        distributed.init_process_group('gloo', timeout=Together.timeout, **ours)


def _part(bound: float = 10.0) -> None:
    """Destroy the process group, as torch wants it, but not where that waits for a process that is gone."""
    if distributed.is_initialized():
        # Of a daemon: what it leaves undone does not keep the process.
        destroying = threading.Thread(target=_destroy, daemon=True)
        destroying.start()
        destroying.join(bound)


def _destroy() -> None:
    with suppress(Exception):
        distributed.destroy_process_group()


def require_devices(launcher: str, tool: str) -> None:
    """Choose each process' card and try it; to be called when they have met, and before they are waited for.

    Raises:
        UserError: In all processes: a card cannot be used, or there are more processes on a machine than cards.
    """
    if _meeting is None:
        everywhere(require_usable)
        everywhere(_try, None)
        return
    _everywhere('usable', require_usable)
    cards, local = visible_cards(), int(os.environ['LOCAL_RANK'])
    require_own_cards(_share('cards', (socket.gethostname(), cards, local)), launcher, tool)
    if len(cards) == 1:
        os.environ['LOCAL_RANK'] = '0'
    _everywhere('tried', _try, int(os.environ['LOCAL_RANK']))


def _try(number: int | None) -> None:
    if error := try_device(number):
        raise error


def _everywhere(name: str, check: Callable[..., None], *args) -> None:
    """As :func:`~mmsoco.engine.together.everywhere`, by the store, as there is no group yet."""
    words = None
    try:
        check(*args)
    except UserError as error:
        words = str(error)
    raise_shared(_share(name, (socket.gethostname(), words)))


def _share(name: str, value: Any) -> list[Any]:
    """All processes' values, by the store."""
    _meeting.store.set(f'{name}/{_meeting.rank}', json.dumps(value))
    return [json.loads(_meeting.store.get(f'{name}/{rank}')) for rank in range(_meeting.size)]


def _from_slurm() -> dict[str, str]:
    """torchrun's variables of a task of Slurm."""
    environ = os.environ
    local = environ.get('SLURM_LOCALID')
    if local is None:
        local = str(int(environ['SLURM_PROCID']) % max(torch.cuda.device_count(), 1))
    address = environ.get('MASTER_ADDR')
    nodes = next((environ[n] for n in ('SLURM_STEP_NUM_NODES', 'SLURM_NNODES') if n in environ), None)
    if address is None:
        names = environ.get('SLURM_STEP_NODELIST', environ['SLURM_NODELIST'])
        address = '127.0.0.1' if nodes == '1' else _first_host(names)
    variables = {
        'RANK': environ['SLURM_PROCID'],
        'WORLD_SIZE': environ['SLURM_NTASKS'],
        'LOCAL_RANK': local,
        'MASTER_ADDR': address,
        'MASTER_PORT': _port(f'{environ.get("SLURM_JOB_ID")}.{environ.get("SLURM_STEP_ID")}'),
    }
    tasks = environ['SLURM_NTASKS'] if nodes == '1' else environ.get('SLURM_NTASKS_PER_NODE', '')
    return variables | ({'LOCAL_WORLD_SIZE': tasks} if tasks.isdigit() else {})


def _first_host(names: str) -> str:
    """The first machine of Slurm's short form for several."""
    try:
        done = subprocess.run(['scontrol', 'show', 'hostnames', names], capture_output=True, text=True, check=True)
        return done.stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise UserError(
            f'scontrol does not say which node of {names} is the first one ({reason(error, bare=True)}); set '
            'MASTER_ADDR to its name'
        ) from None


def _from_mpi() -> dict[str, str]:
    """torchrun's variables of a process of Open MPI's mpirun."""
    environ = os.environ
    size = environ['OMPI_COMM_WORLD_SIZE']
    local_size = environ.get('OMPI_COMM_WORLD_LOCAL_SIZE', '')
    address = environ.get('MASTER_ADDR') or ('127.0.0.1' if local_size == size else None)
    if address is None:
        raise UserError('mpirun does not say where the first process is; add -x MASTER_ADDR=FIRST_NODE to it')
    variables = {
        'RANK': environ['OMPI_COMM_WORLD_RANK'],
        'WORLD_SIZE': size,
        'LOCAL_RANK': environ['OMPI_COMM_WORLD_LOCAL_RANK'],
        'MASTER_ADDR': address,
        'MASTER_PORT': _port(environ.get('PMIX_NAMESPACE', 'mpi')),
    }
    return variables | ({'LOCAL_WORLD_SIZE': local_size} if local_size else {})


def _port(job: str) -> str:
    """The port that a job's processes meet at: the one that is set, or one that other jobs hardly have."""
    chosen = os.environ.get('MASTER_PORT') or os.environ.get('PORT')
    return chosen or str(PORTS[zlib.crc32(job.encode()) % len(PORTS)])
