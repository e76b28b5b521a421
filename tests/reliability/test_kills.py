"""A run that is killed at any moment goes on as if nothing had happened.

``make torture`` kills 200 times; MMSOCO_KILLS is their number.
"""

import os
import random
import time
from pathlib import Path

import pytest
from differing import differences
from forked_training import begin

from mmsoco.checkpoints.files import check_whole, read_checkpoint
from mmsoco.engine.resuming import SavedCheckpoints

KILLS = int(os.environ.get('MMSOCO_KILLS', 5))
STEPS, KEPT = 60, 2
SECONDS = 120  # after which a process counts as hanging


def wait(process, work_dir, generator):
    """Let a process go on for a moment, or until it begins to write a checkpoint."""
    end = time.monotonic() + generator.uniform(0.5, 5)
    until_writing = generator.random() < 0.5
    for path in work_dir.glob('.iter_*'):
        path.unlink()
    if until_writing:
        end = time.monotonic() + 8
    while process.is_alive() and time.monotonic() < end:
        if until_writing and any(work_dir.glob('.iter_*')):
            time.sleep(generator.uniform(0, 0.02))  # while it writes, syncs or renames
            return
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_runs_end_as_others_do(recipe, tiny_options, tmp_path):
    options = tiny_options | {
        'train_cfg.max_epochs': None,
        'train_cfg.max_steps': STEPS,
        'default_hooks.checkpoint': dict(by_epoch=False, interval=5, max_keep_ckpts=KEPT),
        'train_dataloader.num_workers': 1,
        'train_dataloader.persistent_workers': True,
    }
    calm = begin(recipe, tmp_path / 'calm', options)
    calm.join(SECONDS)
    assert calm.exitcode == 0
    expected = read_checkpoint(tmp_path / f'calm/iter_{STEPS}.pth')

    generator, kills, runs = random.Random(0), 0, 0
    while kills < KILLS:
        work_dir = tmp_path / f'killed_{runs}'
        work_dir.mkdir()
        while True:
            process = begin(recipe, work_dir, options)
            if kills < KILLS:
                wait(process, work_dir, generator)
                if process.is_alive():
                    process.kill()
                    kills += 1
            process.join(SECONDS)
            assert process.exitcode in (0, -9)
            for path in SavedCheckpoints(work_dir):
                check_whole(path)
            if process.exitcode == 0:
                break
        runs += 1
        found = read_checkpoint(work_dir / f'iter_{STEPS}.pth')
        assert list(differences(expected, found)) == []
        left = {path.name for path in work_dir.rglob('*') if path.suffix == '.pth' or path.name.startswith('.')}
        assert left == {f'iter_{STEPS - 5}.pth', f'iter_{STEPS}.pth'}
        assert not Path(work_dir, 'run.lock').exists()
    print(f'{kills} kills in {runs} runs of {STEPS} steps')
