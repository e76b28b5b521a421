"""The image's file: read by a linter, and its steps done in other folders, as far as a machine without Docker can."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from other_environments import copy_of, make_environment


def steps(root):
    """Instruction -> arguments, comments and continued lines gone."""
    text = re.sub(r'^#.*\n', '', (root / 'Dockerfile').read_text(), flags=re.M).replace('\\\n', ' ')
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


def test_the_linter_finds_nothing(root):
    linter = shutil.which('hadolint', path=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    if linter is None:
        pytest.skip('hadolint is not installed')
    done = subprocess.run([linter, root / 'Dockerfile'], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == '', done.stdout


def test_what_is_copied_is_what_a_wheel_is_made_of(root):
    kept = {line[1:] for line in (root / '.dockerignore').read_text().splitlines() if line.startswith('!')}
    links = {path.name for path in (root / 'mmsoco/.mim').iterdir()}
    assert kept == links | {'mmsoco', 'setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'}
    assert all((root / name).exists() for name in kept)
    assert ['COPY', '. /src'] in steps(root)


@pytest.mark.slow
def test_its_steps(root, tmp_path):
    """On this machine's packages, so that nothing is downloaded: the environment borrows ours."""
    copy_of(root, tmp_path / 'src')
    shim = tmp_path / 'shims'
    shim.mkdir()
    (shim / 'apt-get').write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    (shim / 'apt-get').chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    environment |= dict(CUDA_VISIBLE_DEVICES='', PYTHONWARNINGS='ignore', PIP_NO_INDEX='1', PIP_NO_BUILD_ISOLATION='0')
    environment['PATH'] = f'{tmp_path}/venv/bin:{shim}:/usr/bin:/bin'
    output = ''
    for instruction, words in steps(root):
        if instruction == 'ARG':
            name, _, value = words.partition('=')
            environment[name] = value.strip('"')
        if instruction != 'RUN':
            continue
        # What is borrowed are operators for the CPU, which are to stay.
        words = words.replace('FORCE_CUDA=1 ', '')
        for there, here in (('/opt/mmsoco', 'venv'), ('/src', 'src'), ('/tmp/mmsoco', 'cache'), ('/var/lib', 'lib')):
            words = words.replace(there, str(tmp_path / here))
        if '-m venv' in words:
            make_environment(tmp_path / 'venv', with_pip=True)
            continue
        done = subprocess.run(['bash', '-c', words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, words + done.stdout[-3000:] + done.stderr[-3000:]
        output += done.stdout
    assert output.count('all is well') == 1 and f'wheel, {tmp_path}/venv' in output
    assert 'install -y --no-install-recommends g++ libgl1' in (tmp_path / 'asked').read_text()
