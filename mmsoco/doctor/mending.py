"""What pip alone does not do: mmcv compiled for this torch, and an OpenCV that keeps its selective search."""

import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mmsoco.doctor.checks import extra, operators, requirements, selective_search, version
from mmsoco.errors import UserError
from mmsoco.resources import FOLDER

#: They write the same files as opencv-contrib-python, which alone has selective search, and are asked for by the
#: OpenMMLab packages; empty ones of the same names take their place.
RIVALS = ('opencv-python', 'opencv-python-headless')
CONTRIB = 'opencv-contrib-python'
TORCH = ('torch', 'torchvision')


def mend(line: str | None = None, torch_index: str | None = None) -> None:
    """Install what is missing, in the environment of this Python, as tools/setup.sh does in a checkout.

    Args:
        line: ``onedl`` or ``upstream``, if none is there yet.
        torch_index: Another torch, by the address of its index or PyTorch's short name, such as cu126 or cpu.

    Raises:
        UserError: A step failed, or cannot work here.
    """
    wanted = requirements({'onedl': 'train', 'upstream': 'train-upstream', None: extra()}[line])
    if importlib.util.find_spec('pip') is None:
        raise UserError(f'{sys.executable} has no pip; run: {sys.executable} -m ensurepip')
    _install_torch([str(one) for one in wanted if one.name in TORCH], torch_index)
    _pip('install', 'setuptools>=64,<82', 'wheel', 'ninja', 'psutil')
    mmcv = next(one for one in wanted if one.name.endswith('mmcv'))
    if version(mmcv.name) is None or operators().fault:
        _pip('install', '--force-reinstall', '--no-deps', str(_compiled(str(mmcv))))
    if any(_brings_cv2(name) for name in RIVALS) or selective_search().fault:
        # With the files of one the others lose theirs.
        _pip('uninstall', '-y', *filter(version, (*RIVALS, CONTRIB)))
    with tempfile.TemporaryDirectory() as folder:
        stubs = [shutil.copytree(FOLDER / 'stubs' / name, Path(folder, name)) for name in RIVALS]
        # In one command, so that pip looks for neither elsewhere.
        _pip('install', '--no-build-isolation', *map(str, stubs), *map(str, wanted))


def _install_torch(torch: list[str], index: str | None) -> None:
    if index is None:
        _pip('install', *torch)
        return
    address = index if '://' in index else f'https://download.pytorch.org/whl/{index}'
    _pip('uninstall', '-y', *filter(version, TORCH))
    _pip('install', '--index-url', address, *torch)


def _compiled(mmcv: str) -> Path:
    """mmcv's wheel for this torch, Python and card; compiled once, and kept where tools/setup.sh keeps it."""
    check = [sys.executable, '-W', 'ignore', str(FOLDER / 'tools/setup_check.py')]
    tag = _run(check, stdout=subprocess.PIPE)
    kept = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'mmsoco')
    folder = Path(os.environ.get('MMSOCO_CACHE') or kept, 'wheels', tag)
    pattern = f'{mmcv.replace("-", "_").replace("==", "-")}-*.whl'
    if not (found := list(folder.glob(pattern))):
        _have_compiler([*check, '--compiler'])
        print(f'compiling {mmcv}: {16 // (os.cpu_count() or 1) + 1} minutes or more, once')
        folder.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix='building.', dir=folder))
        try:
            os.environ.update(MMCV_WITH_OPS='1', MAX_JOBS=str(os.cpu_count()))
            # Debug information doubles the time of a file.
            os.environ['CFLAGS'] = f'{os.environ.get("CFLAGS", "")} -g0'
            # pip's own cache would not notice another torch.
            _pip('wheel', '--no-cache-dir', '--no-build-isolation', '--no-deps', '-w', str(building), mmcv)
            found = [wheel.rename(folder / wheel.name) for wheel in building.glob('*.whl')]
        finally:
            shutil.rmtree(building)
    return found[0]


def _have_compiler(check: list[str]) -> None:
    """Take nvcc from PyPI where mmcv is compiled for a card and none is here: torch 2.12 names its CUDA's packages."""
    toolkit = version('cuda-toolkit')
    if toolkit is not None and subprocess.run(check, capture_output=True).returncode:
        _pip('install', f'cuda-toolkit[cccl,crt,nvcc,nvvm]=={toolkit}')
        nvcc = next(file for file in importlib.metadata.files('nvidia-cuda-nvcc') or () if file.match('bin/nvcc'))
        home = Path(nvcc.locate()).resolve().parents[1]
        os.environ['CUDA_HOME'] = str(home)
        # What linkers look for; the packages have the versioned name alone.
        (library,) = home.glob('lib/libcudart.so.*')
        if not (link := home / 'lib/libcudart.so').exists():
            link.symlink_to(library.name)
    _run(check)


def _brings_cv2(name: str) -> bool:
    try:
        files = importlib.metadata.files(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return False
    return any(file.parts[0] == 'cv2' for file in files)


def _pip(action: str, *arguments: str) -> None:
    if arguments[1:] or action != 'uninstall':
        _run([sys.executable, '-m', 'pip', action, '-qq', *arguments])


def _run(command: list[str], **how) -> str:
    print(f'+ {shlex.join(command)}', flush=True)
    done = subprocess.run(command, text=True, **how)
    if done.returncode:
        raise UserError(f'this failed, as it says above: {shlex.join(command)}; then again: mmsoco doctor --fix')
    return (done.stdout or '').strip()
