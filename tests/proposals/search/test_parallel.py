import os
import sys

import pytest
from in_processes import write_pid

from mmsoco.errors import UserError
from mmsoco.proposals.generators.grid import GridBoxes
from mmsoco.proposals.search.folder import Execution, search_folder
from mmsoco.proposals.search.parallel import run_tasks


def test_all_tasks_run_in_other_processes(tmp_path):
    assert run_tasks(write_pid, [(tmp_path, str(i)) for i in range(5)], jobs=2) == [f'wrote {i}' for i in range(5)]
    pids = {path.name: int(path.read_text()) for path in tmp_path.iterdir()}
    assert sorted(pids) == list('01234')
    assert os.getpid() not in pids.values()


def test_a_killed_worker_is_explained():
    with pytest.raises(UserError, match=r'a worker was lost .* what is finished is kept'):
        run_tasks(os._exit, [(1,), (1,)], jobs=2)


def test_errors_of_a_task_come_back(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone'):
        run_tasks(write_pid, [(tmp_path / 'gone', 'a'), (tmp_path, 'b')], jobs=2)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(backend='spark'), "backend 'spark' is unknown; choose one of loky, dask, ray"),
        (dict(address='tcp://host:1'), 'takes no address; choose dask or ray'),
    ],
)
def test_backends_that_cannot_be(arguments, words):
    with pytest.raises(UserError, match=words):
        run_tasks(print, [], 1, **arguments)


@pytest.mark.parametrize(('backend', 'package'), [('dask', 'distributed'), ('ray', 'ray')])
def test_a_backend_that_is_not_installed_is_explained(monkeypatch, backend, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"not installed; run: pip install 'mmsoco\[{backend}\]'"):
        run_tasks(print, [], 1, backend=backend)


def search(images, out, **execution):
    result = search_folder(images, out, GridBoxes(), execution=Execution(jobs=2, **execution), shard_size=2)
    assert (result.searched, result.failures) == (8, {})
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture
def expected(images, tmp_path):
    return search(images, tmp_path / 'expected')


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['dask', 'ray'])
def test_clusters_on_this_machine_write_the_same(images, expected, tmp_path, backend):
    assert search(images, tmp_path / backend, backend=backend) == expected


@pytest.mark.slow
def test_a_dask_cluster_with_an_address_whose_workers_have_threads(images, expected, tmp_path):
    from distributed import LocalCluster

    # Worker processes as `dask worker` starts them: daemons, which multiprocessing gives no children.
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert search(images, tmp_path / 'dask', backend='dask', address=address) == expected


@pytest.mark.slow
def test_a_dask_cluster_that_is_small_at_the_start_does_all_the_work(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        run_tasks(
            write_pid, [(tmp_path, str(i)) for i in range(4)], 1, backend='dask', address=cluster.scheduler_address
        )
    assert len(list(tmp_path.iterdir())) == 4
    assert str(os.getpid()) not in {path.read_text() for path in tmp_path.iterdir()}


@pytest.mark.parametrize('address', ['foo://x', 'localhost:x'])
def test_an_address_that_is_none(address):
    with pytest.raises(UserError, match=f'no Dask scheduler answers at {address}'):
        run_tasks(print, [], 1, backend='dask', address=address)


@pytest.mark.slow
def test_a_ray_that_is_not_there_is_explained(monkeypatch):
    monkeypatch.delenv('RAY_ADDRESS', raising=False)
    with pytest.raises(UserError, match='no Ray at auto'):
        run_tasks(print, [], 1, backend='ray', address='auto')
