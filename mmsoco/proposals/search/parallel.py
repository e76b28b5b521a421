"""Running tasks on one machine or on a cluster, by joblib."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from typing import Any

import joblib

from mmsoco.errors import UserError, reason

BACKENDS = ('loky', 'dask', 'ray')


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    jobs: int,
    backend: str = 'loky',
    address: str | None = None,
) -> list:
    """Call a function with each of some tuples of arguments.

    Args:
        function: Picklable, and what it returns, too.
        tasks: Picklable arguments.
        jobs: Processes on this machine. A cluster with an address gets all
            tasks at once, and as many run as it has processors, late ones too.
        backend: ``loky`` for processes of this machine; ``dask`` or ``ray`` for
            a cluster. Without an address they start one on this machine.
        address: Of a running cluster: ``tcp://host:8786`` for Dask, ``auto`` or
            ``ray://host:10001`` for Ray.

    Returns:
        What the calls returned, in order.

    Raises:
        UserError: An unknown backend, one that is not installed, an address for
            loky, a cluster that does not answer, or a worker that was lost.
    """
    if backend not in BACKENDS:
        raise UserError(f"backend '{backend}' is unknown; choose one of {', '.join(BACKENDS)}")
    if backend == 'loky' and address is not None:
        raise UserError('loky works on this machine alone and takes no address; choose dask or ray')
    with {'loky': _loky, 'dask': _dask, 'ray': _ray}[backend](jobs, address) as lost:
        # Here, a task is sent when a process is about to be free, so that a killed run leaves few behind.
        when = '2 * n_jobs' if backend == 'loky' else 'all'
        try:
            return joblib.Parallel(batch_size=1, pre_dispatch=when)(joblib.delayed(function)(*task) for task in tasks)
        except lost as error:
            raise UserError(
                f'a worker was lost ({reason(error, bare=True)}); start again, with fewer jobs if memory ran out: '
                'what is finished is kept'
            ) from None


#: A backend's context gives the errors that mean a lost worker.
_Backend = Iterator[tuple[type[Exception], ...]]


@contextmanager
def _loky(jobs: int, address: None) -> _Backend:
    # Workers whose parent was killed find no more tasks, and go.
    with joblib.parallel_config('loky', n_jobs=jobs, inner_max_num_threads=1, idle_worker_timeout=5):
        yield (BrokenProcessPool,)


@contextmanager
def _dask(jobs: int, address: str | None) -> _Backend:
    try:
        from distributed import Client, KilledWorker, LocalCluster
    except ImportError:
        raise UserError("the backend dask is not installed; run: pip install 'mmsoco[dask]'") from None
    from joblib._dask import DaskDistributedBackend

    class Cluster(DaskDistributedBackend):
        """Dask's backend, for a cluster that may be small, or empty, at the start."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            # With 1, joblib would do everything in this process.
            return max(2, super().effective_n_jobs(n_jobs))

    with ExitStack() as stack:
        try:
            # Processes, not threads, though a worker of another cluster may have those.
            cluster = address or stack.enter_context(
                LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
            )
            stack.enter_context(Client(cluster, timeout='30s'))
        except (OSError, ValueError) as error:
            where = address or 'this machine'
            raise UserError(f'no Dask scheduler answers at {where} ({reason(error, bare=True)})') from None
        joblib.register_parallel_backend('mmsoco_dask', Cluster)
        stack.enter_context(joblib.parallel_config('mmsoco_dask', n_jobs=-1))
        yield (KilledWorker,)


@contextmanager
def _ray(jobs: int, address: str | None) -> _Backend:
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
        raise UserError(f'no Ray at {address or "this machine"} ({reason(error, bare=True)})') from None
    try:
        register_ray()
        with joblib.parallel_config('ray', n_jobs=-1):
            yield (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError)
    finally:
        ray.shutdown()
