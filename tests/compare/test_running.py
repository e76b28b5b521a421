"""Runs: the same ones whatever was before, resumable, claimed once."""

import json
import os
import signal
import threading

import pytest
import torch

from mmsoco import resources
from mmsoco.compare import running
from mmsoco.compare.comparing import Prepared
from mmsoco.compare.plan import Comparison, Init, Run
from mmsoco.compare.running import FAILED, RESULT, forget_former_run, is_over, work
from mmsoco.engine.hooks.curve import CurveHook
from mmsoco.engine.interruption import Interrupted
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.options import Options
from mmsoco.run_lock import InUse, RunLock


def comparison(config, pretrained, out, **settings):
    inits = (Init('scratch'), Init('soco', str(pretrained)))
    usual = dict(fractions=(0.5,), seeds=1, evaluations=2, fit=True)
    return Comparison(str(config), inits, out, **{**usual, **settings})


def done(whole, runs=None, **options):
    """Results of runs, done in this process."""
    prepared = Prepared(whole, lambda line: None)
    prepared.write_labels()
    runs = whole.runs() if runs is None else runs
    work(whole, runs, length=prepared.length, **options)
    return {run.init: json.loads((whole.folder(run) / RESULT).read_text()) for run in runs}


def without_time(result):
    return [{key: value for key, value in point.items() if key != 'seconds'} for point in result['curve']]


def logged(whole, run):
    """What a run logged of its losses."""
    (file,) = (whole.folder(run) / 'training').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line['loss'] for line in lines if 'loss' in line]


def every_step(**options):
    return Options({'default_hooks.logger': dict(type='LoggerHook', interval=1), **options})


def test_several_processes_are_started_by_the_script_of_the_package(monkeypatch, tmp_path):
    """Beside the package itself a wheel has none."""
    script = tmp_path / 'tools/dist_train.sh'
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "error: asked for $2"; exit 2\n')
    script.chmod(0o755)
    monkeypatch.setattr(resources, 'FOLDER', tmp_path)
    whole = comparison('a.py', script, tmp_path, processes=3)
    with pytest.raises(UserError, match=r'^asked for 3$'):
        running._train_in_processes(whole, tmp_path / 'a.py', tmp_path / 'training')


def test_a_folder_that_cannot_be_written_is_no_run_of_others(in_iterations, pretrained, tmp_path, monkeypatch):
    """Runs that others do are passed over; this one nobody would do."""
    whole = comparison(in_iterations, pretrained, tmp_path)

    def acquire(lock):
        raise error('no')

    monkeypatch.setattr(RunLock, 'acquire', acquire)
    error = InUse
    work(whole, whole.runs(), length=4)
    error = UserError
    with pytest.raises(UserError, match='no'):
        work(whole, whole.runs(), length=4)


def test_checkpoints_that_outlived_their_run_go(in_iterations, pretrained, tmp_path):
    """Of a process that was killed between the result and them; those of a failure stay, to be looked at."""
    whole = comparison(in_iterations, pretrained, tmp_path)
    for run, mark in zip(whole.runs(), (RESULT, FAILED), strict=True):
        (whole.folder(run) / 'training').mkdir(parents=True)
        for name in (mark, 'training/iter_4.pth', 'training/last_checkpoint'):
            (whole.folder(run) / name).write_text('{}')
    finished, failed = (whole.folder(run) / 'training' for run in whole.runs())
    work(whole, whole.runs(), length=4, keep_checkpoints=True)
    assert len(list(finished.iterdir())) == 2
    work(whole, whole.runs(), length=4)
    assert not list(finished.iterdir()) and len(list(failed.iterdir())) == 2


@pytest.mark.slow
def test_a_run_is_the_same_first_or_second_in_a_process(in_iterations, pretrained, tmp_path):
    first = comparison(in_iterations, pretrained, tmp_path / 'first', options=every_step())
    scratch, soco = first.runs()
    done(first)
    second = comparison(in_iterations, pretrained, tmp_path / 'second', options=every_step())
    done(second, [soco, scratch])
    for run in (scratch, soco):
        losses = logged(first, run)
        assert len(losses) == 4 and losses == logged(second, run)
    assert logged(first, scratch) != logged(first, soco)


@pytest.mark.slow
def test_arms_of_a_seed_see_the_same_data_from_the_same_random_parts(in_iterations, pretrained, tmp_path):
    # Weights of an untrained detector of that seed, so that all of this arm is as scratch begins.
    whole = comparison(in_iterations, pretrained, tmp_path / 'a', options=every_step())
    prepared = Prepared(whole, lambda line: None)
    prepared.write_labels()
    scratch, _ = whole.runs()
    cfg = prepared.config(scratch)
    cfg.train_cfg.max_iters = 1
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.dump(tmp_path / 'still.py')
    forget_former_run()
    runner = train(tmp_path / 'still.py', str(tmp_path / 'still'))
    state = dict(runner.model.state_dict())
    for name in state:  # of BN, statistics alone have moved
        if name.endswith(('running_mean', 'num_batches_tracked')):
            state[name] = torch.zeros_like(state[name])
        elif name.endswith('running_var'):
            state[name] = torch.ones_like(state[name])
    torch.save({'state_dict': state, 'meta': {}}, tmp_path / 'beginning.pth')
    # Of the third arm the other parts stay new, drawn as those of scratch.
    beginning = str(tmp_path / 'beginning.pth')
    again = Comparison(
        str(in_iterations),
        (Init('scratch'), Init('soco', beginning), Init('backbone', beginning)),
        tmp_path / 'b',
        fractions=(0.5,),
        seeds=1,
        evaluations=2,
        fit=True,
        options=every_step(),
        only={'backbone': Options({'default_hooks.transfer.leave': ['neck.', 'roi_head.']})},
    )
    results = done(again)
    scratch, *others = again.runs()
    for run in others:
        assert without_time(results['scratch']) == without_time(results[run.init])
        assert logged(again, scratch) == logged(again, run)


def stop_in_the_third_step(after_train_iter):
    """A hook's method that tells the process to stop."""

    def stop(self, runner, *args, **kwargs):
        after_train_iter(self, runner, *args, **kwargs)
        if runner.iter == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    return stop


@pytest.mark.slow
@pytest.mark.parametrize('counted', ['in_iterations', 'in_epochs'])
def test_an_interrupted_run_goes_on(counted, request, pretrained, tmp_path, monkeypatch):
    config = request.getfixturevalue(counted)
    straight = comparison(config, pretrained, tmp_path / 'straight')
    expected = done(straight, straight.runs()[:1])['scratch']
    whole = comparison(config, pretrained, tmp_path / 'whole')
    run = whole.runs()[0]
    prepared = Prepared(whole, lambda line: None)
    prepared.write_labels()
    monkeypatch.setattr(CurveHook, 'after_train_iter', stop_in_the_third_step(CurveHook.after_train_iter))
    with pytest.raises(Interrupted):
        work(whole, [run], length=prepared.length)
    monkeypatch.undo()
    assert not is_over(whole.folder(run)) and list((whole.folder(run) / 'training').glob('*.pth'))
    result = done(whole, [run])['scratch']
    assert [point['step'] for point in result['curve']] == [point['step'] for point in expected['curve']]
    assert without_time(result) == without_time(expected)
    assert result['seconds'] > 0 and result['steps'] == expected['steps']
    # Checkpoints are large, and of no use any more.
    assert not list((whole.folder(run) / 'training').glob('*.pth'))


def test_a_run_that_fails_is_recorded_and_others_go_on(in_iterations, pretrained, tmp_path):
    diverging = Options({'optim_wrapper.optimizer.lr': 1e12, 'default_hooks.curve': dict(type='mmsoco.CurveHook')})
    whole = comparison(in_iterations, pretrained, tmp_path, only={'soco': diverging})
    scratch, soco = whole.runs()
    prepared = Prepared(whole, lambda line: None)
    prepared.write_labels()
    work(whole, [soco, scratch], prepared.length, keep_checkpoints=True)
    assert (whole.folder(scratch) / RESULT).is_file() and list((whole.folder(scratch) / 'training').glob('*.pth'))
    error = json.loads((whole.folder(soco) / FAILED).read_text())['error']
    assert 'diverged' in error and '\n' not in error
    assert not (whole.folder(soco) / RESULT).exists()


def test_runs_that_are_taken_or_done_are_left(in_iterations, pretrained, tmp_path):
    whole = comparison(in_iterations, pretrained, tmp_path)
    scratch, soco = whole.runs()
    whole.folder(soco).mkdir(parents=True)
    (whole.folder(soco) / RESULT).write_text('{}')
    child = os.fork()
    if not child:  # locks are processes' own
        lock = RunLock(whole.folder(scratch))
        lock.acquire()
        (tmp_path / 'locked').touch()
        threading.Event().wait(60)
        os._exit(0)
    while not (tmp_path / 'locked').exists():
        threading.Event().wait(0.05)
    try:
        work(whole, [scratch, soco], 12)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not is_over(whole.folder(scratch)) and (whole.folder(soco) / RESULT).read_text() == '{}'


def test_a_run_of_other_settings_does_not_go_on(in_iterations, pretrained, tmp_path):
    whole = comparison(in_iterations, pretrained, tmp_path)
    (scratch, _) = whole.runs()
    folder = whole.folder(scratch)
    prepared = Prepared(whole, lambda line: None)
    (folder / 'training').mkdir(parents=True)
    with pytest.raises(UserError, match=f'seed0 was begun with another config.*or delete {folder}'):
        Prepared(whole, lambda line: None)
    # Nor where the settings become others after the parent has looked.
    work(whole, [scratch], prepared.length)
    assert 'was begun with another config' in json.loads((folder / FAILED).read_text())['error']
    assert not list((folder / 'training').iterdir())


def test_names_of_folders():
    assert Run('soco', 0.05, 1.0, 2).name == 'soco_0.05_1x_seed2'


def test_a_detector_that_finds_nothing_has_no_precision(in_iterations, pretrained, tmp_path):
    blind = Options({'model.test_cfg.rcnn.score_thr': 1.1})
    whole = comparison(in_iterations, pretrained, tmp_path, options=blind)
    result = done(whole, whole.runs()[:1])['scratch']
    assert result['figures'] == {'box AP': 0.0, 'box AP50': 0.0, 'box AP75': 0.0}
