"""Running tasks on one machine or on a cluster, by joblib."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import joblib

from mmsoco.errors import UserError

BACKENDS = ('loky', 'dask', 'ray')


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    jobs: int,
    backend: str = 'loky',
    address: str | None = None,
) -> None:
    """Call a function with each of some tuples of arguments.

    Args:
        function: Picklable. What it returns is dropped.
        tasks: Picklable arguments.
        jobs: Processes on this machine. A cluster with an address has its own
            number, and gets all tasks at once.
        backend: ``loky`` for processes of this machine; ``dask`` or ``ray`` for
            a cluster. Without an address they start one on this machine.
        address: Of a running cluster: ``tcp://host:8786`` for Dask, ``auto`` or
            ``ray://host:10001`` for Ray.

    Raises:
        UserError: An unknown backend, one that is not installed, an address for
            loky, a cluster that does not answer, or a worker process that was killed.
    """
    if backend not in BACKENDS:
        raise UserError(f"backend '{backend}' is unknown; choose one of {', '.join(BACKENDS)}")
    if backend == 'loky' and address is not None:
        raise UserError('loky works on this machine alone and takes no address; choose dask or ray')
    with {'loky': _loky, 'dask': _dask, 'ray': _ray}[backend](jobs, address):
        try:
            # The tasks are large: each is sent when a process is free.
            joblib.Parallel(batch_size=1)(joblib.delayed(function)(*task) for task in tasks)
        except BrokenProcessPool as error:
            raise UserError(
                f'a worker process was killed ({str(error).splitlines()[0]}); start again, with fewer jobs if memory '
                'ran out: what is finished is kept'
            ) from None


@contextmanager
def _loky(jobs: int, address: None) -> Iterator[None]:
    # Workers whose parent was killed find no more tasks, and go.
    with joblib.parallel_config('loky', n_jobs=jobs, inner_max_num_threads=1, idle_worker_timeout=5):
        yield


@contextmanager
def _dask(jobs: int, address: str | None) -> Iterator[None]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UserError("the backend dask is not installed; run: pip install 'mmsoco[dask]'") from None
    try:
        # Processes, not threads, though a worker of another cluster may have those.
        cluster = address or LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        client = Client(cluster, timeout='30s')
    except OSError as error:
        raise UserError(f'no Dask scheduler answers at {address} ({str(error).splitlines()[0]})') from None
    try:
        with client, joblib.parallel_config('dask', n_jobs=-1):
            yield
    finally:
        if address is None:
            cluster.close()


@contextmanager
def _ray(jobs: int, address: str | None) -> Iterator[None]:
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise UserError("the backend ray is not installed; run: pip install 'mmsoco[ray]'") from None
    where = dict(num_cpus=jobs, include_dashboard=False) if address is None else dict(address=address)
    try:
        ray.init(log_to_driver=False, logging_level='ERROR', **where)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f'Ray does not start, or not at {address} ({str(error).splitlines()[0]})') from None
    try:
        register_ray()
        with joblib.parallel_config('ray', n_jobs=-1):
            yield
    finally:
        ray.shutdown()
