import os
import subprocess
import sys

import pytest

from mmsoco import cli
from mmsoco.errors import UserError
from mmsoco.resources import CONFIGS, FOLDER, config_names, config_path


def call(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['mmsoco', *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


@pytest.fixture
def mmsoco(capsys, monkeypatch):
    return lambda *arguments: call(capsys, monkeypatch, *arguments)


def test_help_lists_what_is_there_in_the_order_of_the_work(mmsoco):
    status, out, _ = mmsoco('--help')
    assert status == 0 and mmsoco() == (0, out, '')
    order = [out.index(f'\n  {name} ') for name in ('doctor', 'search', 'filter', 'train', 'probe', 'extract')]
    assert order == sorted(order)
    for group in cli.GROUPS.values():
        for name, entry in group.items():
            assert f'\n  {name} ' in out and entry.path.is_file(), name
            # Of the help's lines none is broken.
            assert len(f'  {name:<22}{entry.summary}') <= 80
    scripts = {entry.place for entry in cli.COMMANDS.values()}
    # All but those for developers, and what only serves the shell scripts.
    offered = {f'data_pipelines/{path.name}' for path in FOLDER.glob('data_pipelines/*.py')}
    assert offered - scripts == {'data_pipelines/sample_data.py'}


def test_each_says_its_options_by_its_own_name(mmsoco):
    for name in ('search', 'filter', 'train', 'extract', 'configs', 'doctor'):
        status, out, _ = mmsoco(name, '--help')
        assert status == 0 and out.startswith(f'usage: mmsoco {name} ')


def test_another_word_is_no_command(mmsoco):
    status, _, err = mmsoco('later')
    assert status == 2 and "invalid choice: 'later'" in err


def test_search_and_help_import_neither_torch_nor_openmmlab(images, tmp_path):
    program = (
        'import sys\nfrom mmsoco import cli\n'
        'try:\n    cli.main()\nexcept SystemExit as stop:\n    print(stop.code or 0)\n'
        "print(sorted({'torch', 'mmengine', 'mmdet', 'mmcv'} & set(sys.modules)))"
    )
    for arguments in (['--help'], ['search', str(images), str(tmp_path / 'raw'), '--generator', 'grid', '--jobs', '1']):
        done = subprocess.run([sys.executable, '-c', program, *arguments], capture_output=True, text=True)
        assert done.stdout.endswith('\n0\n[]\n'), done.stdout + done.stderr


def test_a_script_is_the_script(mmsoco, images, tmp_path):
    status, out, _ = mmsoco('search', images, tmp_path / 'raw', '--min-size', 20, '--jobs', 1)
    assert status == 0 and 'proposals of 8 images; 0 failed' in out
    status, _, err = mmsoco('filter', tmp_path / 'gone', tmp_path / 'p.arrow')
    assert (
        status == 2 and err.startswith('error: ') and err.endswith('make them with mmsoco search or random-proposals\n')
    )


def test_several_processes_are_torchruns(monkeypatch, mmsoco):
    def execute(program, arguments):
        started.append(arguments)
        raise UserError('stop here')

    started = []
    monkeypatch.setattr(os, 'execvp', execute)
    monkeypatch.setattr(os, 'environ', {})
    mmsoco('train', 'a.py', '--cfg-options', 'x=1', '--processes', 8, '--resume')
    script, train = FOLDER / 'tools/torchrun.sh', FOLDER / 'tools/train.py'
    launcher = ['--launcher', 'pytorch']
    assert started == [
        ['bash', str(script), '8', str(train), *launcher, 'a.py', '--cfg-options', 'x=1', '--resume'],
    ]
    assert os.environ == {'PYTHON': sys.executable, 'MAX_RESTARTS': '3'}
    status, _, err = mmsoco('train', 'a.py', '--processes', 'many')
    assert status == 2 and 'many' in err and len(started) == 1
    # As tools/dist_test.sh has it.
    os.environ.clear()
    mmsoco('test', 'a.py', 'a.pth', '--processes', 8)
    assert len(started) == 2 and os.environ == {'PYTHON': sys.executable}


def test_configs_are_listed_and_inherited(mmsoco, tmp_path):
    status, out, _ = mmsoco('configs')
    names = out.split()
    assert status == 0 and 'mmsoco::own/100-pictures_cpu.py' in names and not any('_base_' in name for name in names)
    assert len(names) == len(config_names()) > 90
    _, out, _ = mmsoco('configs', 'voc')
    assert {name.split('/')[1] for name in out.split()} == {'voc'}
    for name in ('own/100-pictures_cpu', 'mmsoco::own/100-pictures_cpu.py'):
        assert config_path(name) == CONFIGS / 'own/100-pictures_cpu.py'
        status, _, _ = mmsoco('configs', name, '--out', tmp_path / 'my.py')
        assert status == 0 and (tmp_path / 'my.py').read_text() == "_base_ = 'mmsoco::own/100-pictures_cpu.py'\n"
        status, _, err = mmsoco('configs', name, '--out', tmp_path / 'my.py')
        assert status == 2 and 'my.py exists already' in err
        (tmp_path / 'my.py').unlink()
    for wrong in ('own/none', '../own/100-pictures_cpu', '_base_/resnet50'):
        status, _, err = mmsoco('configs', wrong, '--out', tmp_path / 'other.py')
        assert status == 2 and 'is no config of mmsoco' in err


def test_the_page_on_installing_lists_all_commands_and_their_scripts(root):
    page = (root / 'docs/install.md').read_text()
    for name, entry in cli.COMMANDS.items():
        assert not entry.place.endswith('.py') or f'| `mmsoco {name}` | `{entry.place}` |\n' in page
