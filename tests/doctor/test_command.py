import os
import sys
from pathlib import Path

import pytest

from mmsoco.doctor import checks, command, mending
from mmsoco.resources import FOLDER


def test_the_exit_status_says_whether_something_is_wrong(monkeypatch, capsys):
    for found, status, words in (
        ([checks.Finding('a', '1')], 0, '   a                      1\nall is well\n'),
        ([checks.Finding('a', '1', warning='is little')], 0, 'warning: is little\nall is well, 1 warning\n'),
        ([checks.Finding('a', '1'), checks.Finding('b', '2', 'mend\nit')], 1, '!! b                      2\n'),
    ):
        monkeypatch.setattr(checks, 'examine', lambda found=found: iter(found))
        monkeypatch.setattr('sys.argv', ['mmsoco doctor'])
        with pytest.raises(SystemExit) as stop:
            command.main()
        out = capsys.readouterr().out
        assert (stop.value.code or 0) == status and words in out
    assert out.endswith('mend\\nit\n1 wrong\n')


@pytest.mark.parametrize('options', [['--line', 'onedl'], ['--torch-index', 'cpu'], ['--dry-run']])
def test_without_fix_nothing_is_mended(monkeypatch, capsys, options):
    monkeypatch.setattr(mending, 'mend', lambda *_: pytest.fail('mends'))
    monkeypatch.setattr('sys.argv', ['mmsoco doctor', *options])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert stop.value.code == 2 and f'{options[0]} is for --fix; give both' in capsys.readouterr().err


def test_after_mending_it_looks_from_a_folder_without_foreign_modules(monkeypatch, tmp_path):
    def execute(program, arguments):
        started.append((program, arguments[1:], Path.cwd()))

    started, asked = [], []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, 'execv', execute)
    monkeypatch.setattr(checks, 'examine', lambda: iter(()))
    monkeypatch.setattr(mending, 'mend', lambda *arguments: asked.append(arguments))
    for options in (['--fix', '--dry-run'], ['--fix', '--line', 'upstream']):
        monkeypatch.setattr('sys.argv', ['mmsoco doctor', *options])
        with pytest.raises(SystemExit):
            command.main()
    assert asked == [(None, None, True), ('upstream', None, False)]
    assert started == [(sys.executable, ['-m', 'mmsoco.cli', 'doctor'], FOLDER)]
