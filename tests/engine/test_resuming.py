import os
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from mmsoco.engine.launch import train
from mmsoco.engine.resuming import POINTER, SavedCheckpoints, checkpoint_folder
from mmsoco.errors import UserError
from mmsoco.run_lock import NAME


def save(folder, name, step):
    torch.save({'meta': {'iter': step}, 'state_dict': {'w': torch.arange(1000.0)}}, folder / name)


@pytest.fixture
def folder(tmp_path):
    for step in (10, 9, 30, 20):
        save(tmp_path, f'iter_{step}.pth', step)
    (tmp_path / POINTER).write_text('/moved/from/iter_30.pth')
    return tmp_path


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    'cut': (lambda path: os.truncate(path, 900), 'cut short'),
    'empty': (lambda path: os.truncate(path, 0), 'iter_30.pth is empty'),
    'flipped': (flip, 'copy it again'),
    'missing': (os.remove, 'names iter_30.pth, which is not there'),
}


def test_the_newest(folder):
    assert SavedCheckpoints(folder).newest_whole() == (folder / 'iter_30.pth', [])


def test_epochs_and_steps_are_compared_by_steps(folder):
    save(folder, 'epoch_2.pth', 31)
    assert SavedCheckpoints(folder).newest_whole() == (folder / 'epoch_2.pth', [])


@pytest.mark.parametrize('kind', DAMAGE)
def test_the_one_before_where_it_is_not_whole(folder, kind):
    damage, words = DAMAGE[kind]
    damage(folder / 'iter_30.pth')
    newest, passed = SavedCheckpoints(folder).newest_whole()
    assert newest == folder / 'iter_20.pth'
    assert len(passed) == 1 and 'iter_30.pth' in passed[0] and words in passed[0]


@pytest.mark.parametrize(
    ('content', 'words'), [(None, None), (b'', 'is empty'), (b'\xff\xfe\xff', 'cannot be read'), (b'\n', 'is empty')]
)
def test_without_the_file_that_names_it(folder, content, words):
    (folder / POINTER).unlink()
    if content is not None:
        (folder / POINTER).write_bytes(content)
    newest, passed = SavedCheckpoints(folder).newest_whole()
    assert newest == folder / 'iter_30.pth'
    assert [words in line for line in passed] == ([] if words is None else [True])


def test_none_is_whole(folder):
    for path in folder.glob('iter_*'):
        os.truncate(path, 0)
    with pytest.raises(UserError, match=r'no checkpoint in .* is whole \(.*iter_30.pth.*\); name one .* --work-dir'):
        SavedCheckpoints(folder).newest_whole()


def test_all_are_gone(tmp_path):
    assert SavedCheckpoints(tmp_path).newest_whole() == (None, [])
    (tmp_path / POINTER).write_text('iter_5.pth')
    with pytest.raises(UserError, match=r'names iter_5.pth, which is not there'):
        SavedCheckpoints(tmp_path).newest_whole()


def aside(folder):
    return {path.name for path in folder.glob('before_*/*.pth')}


def test_what_is_not_of_a_runs_past_is_set_aside(folder):
    flip(folder / 'iter_9.pth')
    os.truncate(folder / 'iter_10.pth', 100)
    save(folder, 'best.pth', 40)
    (line,) = SavedCheckpoints(folder).set_aside(str(folder / 'iter_20.pth'), str(folder / 'iter_20.pth'))
    assert 'iter_10.pth, iter_30.pth, iter_9.pth' in line
    assert aside(folder) == {'iter_9.pth', 'iter_10.pth', 'iter_30.pth'}
    assert {path.name for path in folder.glob('*.pth')} == {'iter_20.pth', 'best.pth'}
    # It named one of them.
    assert not (folder / POINTER).exists()
    assert SavedCheckpoints(folder).set_aside(str(folder / 'iter_20.pth'), None) == []


def test_a_run_that_begins_has_no_past(folder):
    with pytest.raises(UserError, match=r'iter_10.pth is in the folder of the run'):
        SavedCheckpoints(folder).set_aside(None, str(folder / 'iter_10.pth'))
    SavedCheckpoints(folder).set_aside(None, None)
    assert aside(folder) == {f'iter_{step}.pth' for step in (9, 10, 20, 30)}


def test_other_names_and_another_folder(tmp_path):
    work_dir, folder = tmp_path / 'run', tmp_path / 'out/run'
    folder.mkdir(parents=True)
    work_dir.mkdir()
    hook = dict(type='CheckpointHook', out_dir=str(tmp_path / 'out'), filename_tmpl='after_{}.pth')
    cfg = Config(dict(work_dir=str(work_dir), default_hooks=dict(checkpoint=hook)))
    assert SavedCheckpoints.of(cfg).newest_whole() == (None, [])
    save(folder, 'after_2.pth', 20)
    save(folder, 'other.pth', 30)
    assert SavedCheckpoints.of(cfg).newest_whole() == (folder / 'after_2.pth', [])
    (work_dir / POINTER).write_text('other.pth')
    assert SavedCheckpoints.of(cfg).newest_whole() == (folder / 'other.pth', [])
    SavedCheckpoints.of(cfg).set_aside(None, None)
    assert aside(folder) == {'after_2.pth'}


def test_what_is_resumed_from_elsewhere_has_no_past_here(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    save(elsewhere, 'iter_90.pth', 90)
    SavedCheckpoints(folder).set_aside(str(elsewhere / 'iter_90.pth'), str(elsewhere / 'iter_90.pth'))
    assert aside(folder) == {f'iter_{step}.pth' for step in (9, 10, 20, 30)}


def test_a_launch_that_begins_anew_takes_its_own_alone(folder):
    for path in folder.glob('*.pth'):
        os.utime(path, (1000, 1000))
    assert SavedCheckpoints(folder).newest_whole(since=2000) == (None, [])
    os.utime(folder / 'iter_9.pth', (3000, 3000))
    assert SavedCheckpoints(folder).newest_whole(since=2000) == (folder / 'iter_9.pth', [])


@pytest.mark.parametrize('template', ['step_{:03d}.pth', 'a{}b.pth'])
def test_templates(tmp_path, template):
    save(tmp_path, template.format(7), 7)
    assert list(SavedCheckpoints(tmp_path, template)) == [tmp_path / template.format(7)]
    assert list(SavedCheckpoints(tmp_path)) == []


@pytest.mark.parametrize('work_dir', ['w', 'work_dirs/w/', '{tmp}/w', './a/../w', '.'])
@pytest.mark.parametrize('out_dir', [None, 'out', 'work_dirs/w', '{tmp}/w', '{tmp}/w/', './w', '{tmp}/out', ''])
def test_where_mmengines_hook_saves(tmp_path, monkeypatch, work_dir, out_dir):
    monkeypatch.chdir(tmp_path)
    work_dir, out_dir = (path and path.format(tmp=tmp_path) for path in (work_dir, out_dir))
    runner = SimpleNamespace(work_dir=os.path.normpath(Path(work_dir).absolute()), logger=Mock())
    hook = CheckpointHook(out_dir=out_dir)
    hook.before_train(runner)
    assert checkpoint_folder(work_dir, out_dir).absolute() == Path(os.path.normpath(Path(hook.out_dir).absolute()))


def test_an_address_is_no_folder():
    cfg = Config(dict(work_dir='w', default_hooks=dict(checkpoint=dict(type='CheckpointHook', out_dir='s3://b/c'))))
    with pytest.raises(UserError, match=r'out_dir s3://b/c is an address.*; mount it'):
        SavedCheckpoints.of(cfg)


def test_a_run_that_saves_elsewhere_now(tmp_path):
    """With or without out_dir: what the work folder's own file names is found where it was written."""
    former, now = tmp_path / 'former', tmp_path / 'out/run'
    former.mkdir()
    save(former, 'epoch_3.pth', 3)
    (former / POINTER).write_text(str(former / 'epoch_3.pth'))
    saved = SavedCheckpoints(now, work_dir=former)
    assert saved.newest_whole() == (former / 'epoch_3.pth', [])
    assert saved.set_aside(str(former / 'epoch_3.pth'), str(former / 'epoch_3.pth')) == []
    # A run that begins is not to go on from it later.
    (line,) = saved.set_aside(None, None)
    assert POINTER in line and not (former / POINTER).exists() and len(list(now.glob(f'before_*/{POINTER}'))) == 1
    assert saved.newest_whole() == (None, [])


def test_the_file_that_names_it_is_a_pipe(folder):
    (folder / POINTER).unlink()
    os.mkfifo(folder / POINTER)
    newest, (line,) = SavedCheckpoints(folder).newest_whole()
    assert newest == folder / 'iter_30.pth' and 'cannot be read' in line


@pytest.mark.slow
def test_a_run_with_out_dir_is_resumed(recipe, tiny_options, tmp_path):
    """Its checkpoints are found, guarded, bounded in number and tidied where they are."""
    work_dir, folder = tmp_path / 'a/run', tmp_path / 'out/run'
    options = tiny_options | {
        'default_hooks.checkpoint.out_dir': str(tmp_path / 'out'),
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.checkpoint.max_keep_ckpts': 2,
    }
    train(recipe, str(work_dir), amp=False, options=options | {'train_cfg.max_epochs': 1})
    assert sorted(path.name for path in folder.iterdir()) == ['iter_1.pth', 'iter_2.pth']
    assert (work_dir / POINTER).read_text() == str(folder / 'iter_2.pth') and not list(work_dir.glob('*.pth'))
    runner = train(recipe, str(work_dir), resume='auto', resume_anyway=True, amp=False, options=options)
    assert runner.iter == 4 and runner._load_from == str(folder / 'iter_2.pth')
    assert sorted(path.name for path in folder.iterdir()) == ['iter_3.pth', 'iter_4.pth']
    # Another run of that name sets them aside, and two at once are refused.
    (folder / NAME).write_text('{"host": "another", "pid": 1, "start": "now"}')
    with pytest.raises(UserError, match=rf'{folder} is in use by another run \(another'):
        train(recipe, str(tmp_path / 'b/run'), amp=False, options=options)
    assert not list((tmp_path / 'b').rglob('*')) and (folder / 'iter_4.pth').exists()
    (folder / NAME).unlink()
    train(recipe, str(tmp_path / 'b/run'), amp=False, options=options)
    assert sorted(path.name for path in folder.glob('before_*/*')) == ['iter_3.pth', 'iter_4.pth']
