"""Environments beside this one, which know nothing of the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig

PIP = [sys.executable, '-m', 'pip', '-q', '--disable-pip-version-check']


def copy_of(root, folder):
    """What a commit would have, without what tests and builds leave."""
    names = 'LICENSE README.md configs data_pipelines docs mmsoco model-index.yml pyproject.toml setup.cfg stubs tools'
    ignored = shutil.ignore_patterns('__pycache__', '_build', 'generated')
    folder.mkdir()
    for name in names.split():
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(root / name, folder)
    return folder


def make_environment(folder, with_pip=False):
    """An environment that borrows this one's packages, but for mmsoco; a second download of torch takes minutes."""
    subprocess.run([sys.executable, '-m', 'venv', *([] if with_pip else ['--without-pip']), folder], check=True)
    python = folder / 'bin/python'
    query = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = subprocess.run([python, '-c', query], capture_output=True, text=True, check=True).stdout.strip()
    # A line alone adds the folder and runs none of its .pth files, an editable mmsoco's neither.
    with open(f'{site}/borrowed.pth', 'w') as file:
        file.write(sysconfig.get_paths()['purelib'] + '\n')
    return python


def run(python, folder, *command, status=0, **environment):
    """What a program of an environment prints, started in a folder."""
    kept = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'PYTHONHOME')}
    alone = {'CUDA_VISIBLE_DEVICES': '', 'PYTHONWARNINGS': 'ignore', 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [python.parent / command[0], *map(str, command[1:])],
        cwd=folder,
        env={**kept, **alone, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
