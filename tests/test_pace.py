import itertools
import json
import os
import statistics

import pytest

from mmsoco import pace, resources
from mmsoco.errors import UserError
from mmsoco.pace import OutOfMemory, Pace, TrialRun, measure_pace

#: Slow at the start, a probe of 5 s after step 6, else 1 s.
TIMES = {1: 4.0, 2: 2.0, 3: 1.0, 4: 1.1, 5: 1.0, 6: 0.9, 7: 6.0}


def test_the_probe_is_told_from_the_steps():
    found = TrialRun().pace(TIMES, wall=30.0, probed=True)
    assert (found.step, found.probe) == (1.0, 5.0)
    # The first steps' slowness is one of the start.
    assert found.start == pytest.approx(30 - 7 - 5)
    assert TrialRun().pace({**TIMES, 7: 1.0}, wall=30.0, probed=False) == Pace(23.0, 1.0, 0.0)


@pytest.mark.parametrize('workers', [1, 2, 8, 16])
@pytest.mark.parametrize(('batch', 'compute'), [(4.0, 0.2), (0.1, 0.2), (0.3, 0.2), (1.6, 0.2)])
def test_a_loader_that_is_slower_than_the_steps_is_seen(workers, batch, compute):
    """Workers that make a batch each in ``batch`` seconds, some of them in advance, and steps that take ``compute``."""
    trial, steps = TrialRun(workers), 400
    asked, ready, now, free = [0.0] * pace.PREFETCH * workers, {}, 0.0, [0.0] * workers
    ends = []
    for n in range(steps):
        free[n % workers] = ready[n] = max(free[n % workers], asked[n]) + batch
        now = max(now, ready[n])
        asked.append(now)
        now += compute + (3.0 if n == 0 else 0)
        ends.append(now)
    times = dict(enumerate((b - a for a, b in itertools.pairwise([0.0, *ends])), 1))
    found = trial.pace({n: times[n] for n in range(1, trial.steps + 1)}, wall=ends[trial.steps - 1], probed=False)
    assert found.step == pytest.approx(statistics.mean(list(times.values())[100:]), rel=0.2)
    assert found.seconds(steps) == pytest.approx(ends[-1], rel=0.2)


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
    rows[6:6] = [{'probe/head_top1': 0.1, 'step': 6}]
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    assert pace.step_times(tmp_path, 7) == TIMES


@pytest.mark.parametrize(
    ('printed', 'status', 'kind', 'words'),
    [
        ('torch.OutOfMemoryError: CUDA out of memory. Tried to', 1, OutOfMemory, '--batch'),
        ('one\nerror: the folder is empty; fill it', 2, UserError, '^the folder is empty; fill it$'),
        ('Traceback\nValueError: odd', 1, UserError, r'ValueError: odd \(in a trial of some steps\)'),
    ],
)
def test_what_a_trial_failed_of_is_said(printed, status, kind, words, trainer):
    trainer(f'import sys; print({printed!r}, file=sys.stderr); sys.exit({status})')
    with pytest.raises(kind, match=words):
        measure_pace('config.py')


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Puts another script where tools/train.py is."""

    def put(text):
        (tmp_path / 'tools').mkdir(exist_ok=True)
        (tmp_path / 'tools/train.py').write_text(text)

    monkeypatch.setattr(resources, 'FOLDER', tmp_path)
    return put


#: It takes 0.1 s, writes each step's time, and says its arguments and how many cores it has.
TRAINER = """
import json, os, pathlib, sys, time
options = dict(word.split('=', 1) for word in sys.argv[sys.argv.index('--cfg-options') + 1 :])
pathlib.Path(sys.argv[1]).write_text(json.dumps([sys.argv[1:], len(os.sched_getaffinity(0))]))
time.sleep(0.1)
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1], 'now/vis_data')
folder.mkdir(parents=True)
with (folder / 'scalars.json').open('w') as file:
    for step in range(1, int(options['train_cfg.max_steps']) + 1):
        file.write(json.dumps(dict(step=step, time=0.001)) + '\\n')
"""


def test_paths_with_blanks_stay_one_word(trainer, tmp_path, monkeypatch):
    trainer(TRAINER)
    (tmp_path / 'a folder').mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'a folder'))
    config = tmp_path / 'a folder/config.py'
    found = measure_pace(config, options='a=b', workers=2)
    words, _ = json.loads(config.read_text())
    assert words[0] == str(config) and words[-1] == 'a=b'
    assert f'train_cfg.max_steps={TrialRun(2).steps}' in words
    assert found.step == 0.001 and found.start > 0.1


def test_a_trial_has_the_cores_that_one_of_several_processes_will_have(trainer, tmp_path):
    trainer(TRAINER)
    cores = os.sched_getaffinity(0)
    measure_pace(tmp_path / 'config', processes=2)
    assert json.loads((tmp_path / 'config').read_text())[1] == max(1, len(cores) // 2)
    assert os.sched_getaffinity(0) == cores
