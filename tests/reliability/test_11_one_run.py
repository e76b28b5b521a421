"""Promise 11: one run a folder, and none whose launcher is gone.

Stale locks, and those of other machines: ``tests/test_run_lock.py``.
"""

import os
import time

import pytest
from running import children_of, counted_in_steps, is_running, start_training, until

from mmsoco.engine.launch import train
from mmsoco.errors import UserError


@pytest.mark.slow
def test_a_second_run_is_refused_until_the_first_is_gone_launcher_or_not(recipe, tiny_options, tmp_path):
    options = tiny_options | counted_in_steps(10_000)
    run = start_training(recipe, tmp_path, options, 2)
    until(lambda: list(run.work_dir.glob('iter_*.pth')), run)
    with pytest.raises(UserError, match=rf'in use by another run \({os.uname().nodename}, process \d+, since 20'):
        train(recipe, str(run.work_dir), amp=False, options=tiny_options)
    workers = children_of(run.process.pid)
    assert len(workers) == 2
    run.process.kill()
    run.process.wait()
    for _ in range(300):
        if not any(map(is_running, workers)):
            break
        time.sleep(0.1)
    assert not any(map(is_running, workers))
    assert not (run.work_dir / 'run.lock').exists()
    train(recipe, str(run.work_dir), amp=False, options=tiny_options)
