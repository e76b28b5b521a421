import json

import pytest

from mmsoco import pace
from mmsoco.errors import UserError
from mmsoco.pace import OutOfMemory, Pace, measure_pace, pace_of

#: Slow at the start, a probe of 5 s after step 4, else 1 s.
TIMES = {1: 4.0, 2: 2.0, 3: 1.0, 4: 1.1, 5: 6.0, 6: 0.9, 7: 1.0}


def test_the_probe_is_told_from_the_steps():
    found = pace_of(TIMES, wall=30.0, probed=True)
    assert (found.step, found.probe) == (1.0, 5.0)
    # The first steps' slowness is one of the start.
    assert found.start == pytest.approx(30 - 7 - 5)
    assert pace_of({**TIMES, 5: 1.0}, wall=30.0, probed=False) == Pace(23.0, 1.0, 0.0)


def test_the_time_of_a_run_is_that_of_its_parts():
    found = Pace(start=20, step=0.5, probe=4)
    assert found.seconds(300, 100) == 20 + 150 + 2 * 4
    assert found.seconds(10, 100) == 25 and found.seconds(10) == 25
    steps = found.steps_in(3600, 100)
    assert found.seconds(steps, 100) <= 3600 + 4 and found.seconds(steps + 20, 100) > 3600
    assert found.steps_in(10) < 1


def test_times_are_those_that_the_run_logged(tmp_path):
    folder = tmp_path / '20260101_000000/vis_data'
    folder.mkdir(parents=True)
    rows = [dict(step=step, time=time, loss=1) for step, time in TIMES.items()]
    rows[3:3] = [{'probe/head_top1': 0.1, 'step': 4}]
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    assert pace.step_times(tmp_path) == TIMES


@pytest.mark.parametrize(
    ('printed', 'status', 'kind', 'words'),
    [
        ('torch.OutOfMemoryError: CUDA out of memory. Tried to', 1, OutOfMemory, '--batch'),
        ('one\nerror: the folder is empty; fill it', 2, UserError, '^the folder is empty; fill it$'),
        ('Traceback\nValueError: odd', 1, UserError, r'ValueError: odd \(in a trial of 7 steps\)'),
    ],
)
def test_what_a_trial_failed_of_is_said(printed, status, kind, words, tmp_path, monkeypatch):
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/train.py').write_text(f'import sys; print({printed!r}, file=sys.stderr); sys.exit({status})')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=words):
        measure_pace('config.py')
