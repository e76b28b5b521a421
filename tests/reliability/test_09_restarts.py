"""Promise 9: where a process of several is lost, all start again and end with the weights that they would have had."""

import os
import signal

import pytest
from differing import differences
from running import children_of, counted_in_steps, start_training, until

from mmsoco.checkpoints.files import read_checkpoint


@pytest.mark.slow
def test_a_lost_process(recipe, tiny_options, tmp_path):
    options = tiny_options | counted_in_steps(30) | {'sync_bn': None}
    ends = []
    for lost in (False, True):
        folder = tmp_path / str(lost)
        folder.mkdir()
        run = start_training(recipe, folder, options, 2)
        if lost:
            until(lambda run=run: list(run.work_dir.glob('iter_10.pth')), run)
            os.kill(children_of(run.process.pid)[1], signal.SIGKILL)
        assert run.process.wait(200) == 0, run.errors.read_text()[-3000:]
        assert ('torchrun: process 1 is lost (killed by SIGKILL)' in run.errors.read_text()) == lost
        ends.append(read_checkpoint(run.work_dir / 'iter_30.pth'))
    assert list(differences(*ends)) == []
    # Promise 15: of each process, what it alone knows; here the statistics of its BN.
    (other,) = ends[0]['other_processes']
    assert any(name.endswith('running_mean') for name in other['buffers'])


@pytest.mark.slow
def test_a_lost_process_of_another_node(recipe, tiny_options, tmp_path, free_port):
    """All nodes' processes start again, and go on, also where none of their own was lost."""
    options = tiny_options | counted_in_steps(20, kept=10)
    nodes = [
        start_training(recipe, tmp_path, options, 1, NNODES='2', NODE_RANK=str(rank), PORT=str(free_port))
        for rank in range(2)
    ]
    first = until(lambda: list(nodes[0].work_dir.glob('iter_5.pth')), nodes[0])[0].stat().st_mtime_ns
    os.kill(children_of(nodes[1].process.pid)[0], signal.SIGKILL)
    assert [node.process.wait(200) for node in nodes] == [0, 0], nodes[0].errors.read_text()[-3000:]
    assert (nodes[0].work_dir / 'iter_20.pth').exists()
    assert (nodes[0].work_dir / 'iter_5.pth').stat().st_mtime_ns == first


@pytest.mark.slow
def test_what_is_wrong_is_not_tried_again(recipe, tiny_options, tmp_path):
    run = start_training(recipe, tmp_path, tiny_options | {'load_from': str(tmp_path / 'gone.pth')}, 2)
    assert run.process.wait(150) == 2
    (line,) = run.errors.read_text().strip().splitlines()
    assert line.startswith(f'error: {tmp_path}/gone.pth does not exist')
