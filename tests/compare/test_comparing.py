"""Whole comparisons by the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from running import ROOT, descendants_of, is_running

from mmsoco.compare import comparing
from mmsoco.compare.comparing import environment


def command(config, pretrained, out, *more):
    arms = ['--init', 'scratch', '--init', f'soco={pretrained}', '--init', f'backbone={pretrained}']
    only = ['--only', 'backbone', "default_hooks.transfer.leave=['neck.','roi_head.']"]
    words = [sys.executable, ROOT / 'tools/compare.py', config, *arms, *only, '--fit', '--out', out, *more]
    return list(map(str, words))


def start(*words, **options):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT), 'PYTHONWARNINGS': 'ignore'}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def test_workers_share_cards_and_cores(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5,6')
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(range(8)))
    shares = [environment(number, 4, 1) for number in range(4)]
    assert [share['CUDA_VISIBLE_DEVICES'] for share in shares] == ['4', '5', '6', '4']
    assert {share['OMP_NUM_THREADS'] for share in shares} == {'2'}
    assert environment(1, 1, 2)['CUDA_VISIBLE_DEVICES'] == '6,4'
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    assert environment(0, 1, 1)['CUDA_VISIBLE_DEVICES'] == ''


def test_a_wheel_is_found_where_it_is_installed(monkeypatch):
    monkeypatch.setenv('PYTHONPATH', 'mine')
    assert environment(0, 1, 1)['PYTHONPATH'] == f'{ROOT}{os.pathsep}mine'
    monkeypatch.setattr(comparing, 'IN_CHECKOUT', False)
    assert environment(0, 1, 1)['PYTHONPATH'] == 'mine'


@pytest.mark.slow
def test_a_comparison_is_stopped_and_goes_on(in_epochs, pretrained, tmp_path):
    words = command(in_epochs, pretrained, tmp_path / 'out', '--fractions', '0.25', '1.0', '--seeds', 1, '--jobs', 2)
    first = start(*words, start_new_session=True)
    end = time.monotonic() + 200
    while not list((tmp_path / 'out').glob('runs/*/result.json')):
        assert first.poll() is None and time.monotonic() < end, first.stdout.read()
        time.sleep(0.2)
    workers = descendants_of(first.pid)
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=120)
    assert first.returncode == 143 and 'stopped: by SIGTERM' in said and 'the same command goes on' in said
    assert len(workers) >= 2 and not any(map(is_running, workers))
    assert (tmp_path / 'out/results.md').is_file()
    before = {path: path.read_bytes() for path in (tmp_path / 'out').glob('runs/*/result.json')}
    second = start(*words)
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 0, said
    assert all(path.read_bytes() == content for path, content in before.items())
    assert '6 of 6 runs are over' in said and 'too few seeds' in said
    written = json.loads((tmp_path / 'out/results.json').read_text())
    assert len(written['runs']) == 6 and not written['failed']
    assert written['inits']['backbone']['only'] == {'default_hooks.transfer.leave': ['neck.', 'roi_head.']}
    assert written['inits']['soco']['loaded'] > written['inits']['backbone']['loaded'] > 0
    assert written['leakage']['soco']['checked'] is False
    steps = {run['steps'] for run in written['runs'].values()}
    assert steps == {6} and not list((tmp_path / 'out').rglob('*.pth'))
    assert (tmp_path / 'out/results.png').is_file()


@pytest.mark.slow
def test_a_rehearsal_writes_nothing_and_another_comparison_is_refused(in_iterations, pretrained, tmp_path):
    out = tmp_path / 'out'
    rehearsal = start(*command(in_iterations, pretrained, out, '--seeds', 1, '--dry-run', '--fractions', 0.5))
    said, _ = rehearsal.communicate(timeout=200)
    assert rehearsal.returncode == 0 and 'hours in all; nothing was written' in said and '3 runs' in said, said
    assert not out.exists()
    begun = out / 'runs/scratch_1_1x_seed0/begun.json'
    begun.parent.mkdir(parents=True)
    begun.write_text(json.dumps({'config': 'another'}))
    other = start(*command(in_iterations, pretrained, out, '--seeds', 1))
    said, _ = other.communicate(timeout=200)
    assert other.returncode == 2 and said.count('error: ') == 1
    assert 'was begun with another config, other options, labels or weights' in said.splitlines()[-1]
