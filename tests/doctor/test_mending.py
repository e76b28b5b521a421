import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mmsoco.doctor import checks, mending
from mmsoco.errors import UserError
from mmsoco.resources import FOLDER

WELL = checks.Finding('x', f'work on cpu ({checks.WITHOUT_CUDA})')
ILL = checks.Finding('x', 'does not work', 'x')
WHEEL = 'onedl_mmcv-2.3.6-cp311-cp311-linux_x86_64.whl'


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """What mending runs, without running it; the maintained line is there, and all works."""
    ran = []

    def run(shell, command, **how):
        ran.append(' '.join(map(str, command[1:])))
        if '-w' in command:
            Path(command[command.index('-w') + 1], WHEEL).touch()
        return 'torch-2-cp311-cpu'

    monkeypatch.setattr(mending.Shell, 'run', run)
    monkeypatch.setattr(mending, 'operators', lambda: WELL)
    monkeypatch.setattr(mending, 'selective_search', lambda: WELL)
    monkeypatch.setattr(mending, 'lines', lambda: ['onedl'])
    monkeypatch.setattr(mending, 'version', lambda name: '1.0')
    monkeypatch.setattr(mending, '_have_compiler', lambda *_: None)
    monkeypatch.setattr(mending, '_brings_cv2', lambda name: False)
    for name in ('MMCV_WITH_OPS', 'MAX_JOBS', 'CFLAGS', 'FORCE_CUDA'):
        monkeypatch.setenv(name, '')
    monkeypatch.setenv('MMSOCO_CACHE', str(tmp_path))
    return ran


@pytest.fixture
def kept(tmp_path):
    """mmcv's wheel, compiled before."""
    path = tmp_path / 'wheels/torch-2-cp311-cpu' / WHEEL
    path.parent.mkdir(parents=True)
    path.write_text('kept')
    return path


def test_mending_installs_empty_packages_with_all_others(commands):
    mending.mend('onedl')
    last = commands[-1]
    assert last.startswith('-m pip install -qq --no-build-isolation /') and 'onedl-mmcv==' in last
    assert '/opencv-python /' in last and '/opencv-python-headless numpy' in last
    assert not any('uninstall' in one or 'pip wheel' in one for one in commands)
    assert commands[0].startswith('-m pip install -qq torch')


def test_mending_takes_a_version_of_others_that_fits(monkeypatch, commands):
    monkeypatch.setattr(mending, 'unfit', lambda: [Requirement('transformers<5')])
    mending.mend()
    assert commands[-1].endswith(' transformers<5')


def test_mending_takes_opencvs_that_write_the_same_files_away(monkeypatch, commands):
    monkeypatch.setattr(mending, 'selective_search', lambda: ILL)
    mending.mend()
    assert '-m pip uninstall -qq -y opencv-python opencv-python-headless opencv-contrib-python' in commands[:-1]


def test_another_torch_is_fetched_before_the_first_one_goes(commands, capsys):
    mending.mend(torch_index='cpu')
    first = '-m pip install --force-reinstall --index-url https://download.pytorch.org/whl/cpu torch'
    assert commands[0].startswith(first) and not any('uninstall' in one for one in commands)
    assert 'fetching torch: some GB' in capsys.readouterr().out


def test_a_first_torch_shows_its_progress(monkeypatch, commands, capsys):
    monkeypatch.setattr(mending, 'version', lambda name: None if name == 'torch' else '1.0')
    mending.mend()
    assert commands[0].startswith('-m pip install torch') and 'fetching torch' in capsys.readouterr().out


def test_a_compiled_mmcv_is_kept(monkeypatch, commands, kept):
    answers = iter([ILL, WELL])
    monkeypatch.setattr(mending, 'operators', lambda: next(answers))
    mending.mend('onedl')
    assert f'-m pip install -qq --force-reinstall --no-deps {kept}' in commands
    assert not any('pip wheel' in one for one in commands)


def test_a_kept_wheel_that_does_not_work_is_compiled_again(monkeypatch, commands, kept):
    monkeypatch.setattr(mending, 'operators', lambda: ILL)
    mending.mend()
    install = f'-m pip install -qq --force-reinstall --no-deps {kept}'
    assert commands.count(install) == 2 and kept.read_text() == ''
    (compiled,) = [number for number, one in enumerate(commands) if 'pip wheel' in one]
    assert commands.index(install) < compiled
    assert [path.name for path in kept.parent.iterdir()] == [WHEEL]


def test_operators_for_a_card_are_compiled_where_those_for_the_cpu_work(monkeypatch, commands):
    monkeypatch.setenv('FORCE_CUDA', '1')
    mending.mend()
    assert sum('pip wheel' in one for one in commands) == 1
    commands.clear()
    monkeypatch.setattr(mending, 'operators', lambda: checks.Finding('x', 'work on cpu'))
    mending.mend()
    assert not any('pip wheel' in one for one in commands)


def test_no_line_is_installed_over_the_other(monkeypatch, commands):
    with pytest.raises(UserError, match=r'--line upstream: the packages of onedl are installed'):
        mending.mend('upstream')
    monkeypatch.setattr(mending, 'lines', lambda: ['onedl', 'upstream'])
    with pytest.raises(UserError, match='both lines are installed'):
        mending.mend()
    assert commands == []
    monkeypatch.setattr(mending, 'lines', lambda: ['upstream'])
    mending.mend()
    assert ' mmcv==' in commands[-1] and 'onedl' not in commands[-1]


def test_a_dry_run_prints_commands_and_changes_nothing(monkeypatch, commands, capsys, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv('MMSOCO_CACHE', str(tmp_path))
    monkeypatch.setattr(mending, 'operators', lambda: ILL)
    monkeypatch.setattr(mending, 'selective_search', lambda: ILL)
    monkeypatch.setattr(mending, 'lines', lambda: [])
    monkeypatch.setattr(mending, 'version', lambda name: None)
    monkeypatch.setattr(subprocess, 'run', lambda *_, **__: pytest.fail('runs a command'))
    mending.mend('upstream', 'cu126', dry_run=True)
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith('+ ')]
    assert [line for line in printed if '-m pip wheel' in line and line.endswith(' mmcv==2.1.0')]
    assert str(FOLDER / 'stubs/opencv-python') in printed[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_names_the_command_with_its_options(monkeypatch):
    monkeypatch.setattr(mending, 'lines', lambda: [])
    monkeypatch.setattr(mending.Shell, 'pip', lambda shell, *_, **__: shell.run(['false']))
    with pytest.raises(UserError, match=r'this failed, as it says above: false; then again: mmsoco doctor --fix$'):
        mending.mend()
    with pytest.raises(UserError, match=r'again: mmsoco doctor --fix --line upstream --torch-index cu126$'):
        mending.mend('upstream', 'cu126')


def test_the_users_folder_is_not_looked_into(monkeypatch, tmp_path):
    (tmp_path / 'pip').mkdir()
    (tmp_path / 'pip/__init__.py').touch()
    monkeypatch.chdir(tmp_path)
    program = 'import json, sys, importlib.util; print(json.dumps(importlib.util.find_spec("pip").origin))'
    found = mending.Shell('again').run([sys.executable, '-c', program], stdout=subprocess.PIPE)
    assert 'site-packages' in json.loads(found)
