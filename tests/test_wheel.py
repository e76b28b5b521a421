"""The wheel, in an environment and a folder that know nothing of the checkout."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from other_environments import PIP, copy_of, make_environment, run
from running import as_arguments
from shrinking import shrink

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def built(root, tmp_path_factory):
    """The sdist, and the wheel made of it."""
    folder = tmp_path_factory.mktemp('built')
    build = 'import sys, setuptools.build_meta as build; print(build.build_sdist(sys.argv[1]), file=sys.stderr)'
    source = copy_of(root, folder / 'checkout')
    subprocess.run([sys.executable, '-c', build, folder], cwd=source, check=True, capture_output=True)
    (sdist,) = folder.glob('*.tar.gz')
    subprocess.run([*PIP, 'wheel', '--no-deps', '--no-build-isolation', '-w', folder, sdist], check=True, cwd=folder)
    (wheel,) = folder.glob('*.whl')
    return sdist, wheel


@pytest.fixture(scope='module')
def python(built, tmp_path_factory):
    """Of an environment with the wheel."""
    python = make_environment(tmp_path_factory.mktemp('environment') / 'venv')
    install = [*PIP, '--python', str(python), 'install', '--no-deps', '--no-index', '--ignore-installed', built[1]]
    subprocess.run(install, check=True)
    return python


def test_all_that_is_read_is_inside(built, root):
    """Also in the sdist, from which the wheel was made."""
    with zipfile.ZipFile(built[1]) as wheel:
        files = set(wheel.namelist())
        scripts = [name for name in files if name.endswith('entry_points.txt')]
        assert 'mmsoco = mmsoco.cli:main' in wheel.read(scripts[0]).decode()
        # Each is a file: a link would lead nowhere.
        assert wheel.read('mmsoco/.mim/tools/train.py') == (root / 'tools/train.py').read_bytes()
        assert wheel.getinfo('mmsoco/.mim/tools/torchrun.sh').external_attr >> 16 & 0o111
    for folder in ('configs', 'tools', 'data_pipelines', 'stubs'):
        for path in (root / folder).rglob('*'):
            if path.is_file() and path.suffix != '.pyc' and not any('egg-info' in part for part in path.parts):
                assert f'mmsoco/.mim/{path.relative_to(root)}' in files, path
    for path in (root / 'docs').glob('*.md'):
        assert f'mmsoco/.mim/docs/{path.name}' in files, path
    with tarfile.open(built[0]) as sdist:
        assert not any(member.issym() for member in sdist)


def test_the_whole_way_from_an_empty_folder(python, root, images, tmp_path):
    folder = tmp_path / 'empty'
    folder.mkdir()
    where = run(python, folder, 'python', '-c', 'import mmsoco; print(mmsoco.__file__)')
    assert where.startswith(str(python.parents[1])), where

    words = run(python, folder, 'mmsoco', '--help')
    assert 'find boxes:' in words and '  filter ' in words and 'mmsoco COMMAND --help' in words
    assert run(python, folder, 'mmsoco', 'filter', '--help').startswith('usage: mmsoco filter ')

    words = run(python, folder, 'mmsoco', 'doctor')
    assert f'wheel, {python.parents[1]}' in words and 'mmcv operators         work on cpu' in words
    # /dev/shm may be small here, too.
    assert 'selective search       works' in words and re.search(r'all is well(, 1 warning)?\n$', words)

    shutil.copytree(images, folder / 'images')
    for name in ('first/0.png', 'first/1.jpg'):
        (folder / 'images' / name).write_bytes(b'\xff\xd8\xff')
    words = run(python, folder, 'mmsoco', 'search', 'images', 'raw', '--jobs', 2, '--min-size', 20)
    assert 'raw: proposals of 6 images; 2 failed' in words
    words = run(python, folder, 'mmsoco', 'filter', 'raw', 'p.arrow', '--size', 0.1, 0.9, '--min-side', 8)
    assert 'p.arrow: 6 images' in words

    config = 'own/100-pictures_cpu.py'
    words = run(python, folder, 'mmsoco', 'configs', config, '--out', 'my.py')
    assert words.startswith('my.py inherits ') and str(python.parents[1]) in words
    assert (folder / 'my.py').read_text() == f"_base_ = 'mmsoco::{config}'\n"
    options = shrink(root / 'configs' / config, folder / 'images', folder / 'p.arrow')
    of_tests = ('custom_imports', 'default_hooks.record')
    options = {key: value for key, value in options.items() if not key.startswith(of_tests)}
    run(python, folder, 'mmsoco', 'train', 'my.py', '--cfg-options', *as_arguments(options))
    assert sorted(path.name for path in (folder / 'work_dirs').iterdir()) == ['my']
    assert (folder / 'work_dirs/my/iter_4.pth').is_file()
    assert {path.name for path in folder.iterdir()} == {'images', 'my.py', 'p.arrow', 'raw', 'work_dirs'}

    words = run(python, folder, 'mmsoco', 'train', 'mmsoco::own/none.py', status=2)
    assert words.endswith('error: mmsoco::own/none.py is no config of mmsoco; mmsoco configs lists them\n')
