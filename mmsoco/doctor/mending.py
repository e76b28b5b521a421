"""What pip alone does not do: mmcv compiled for this torch, and an OpenCV that keeps its selective search."""

import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmsoco.doctor.checks import (
    BOTH_LINES,
    EXTRAS,
    WITHOUT_CUDA,
    lines,
    operators,
    requirements,
    selective_search,
    unfit,
    version,
)
from mmsoco.errors import UserError
from mmsoco.resources import FOLDER

#: They write the same files as opencv-contrib-python, which alone has selective search, and are asked for by the
#: OpenMMLab packages; empty ones of the same names take their place.
RIVALS = ('opencv-python', 'opencv-python-headless')
CONTRIB = 'opencv-contrib-python'
TORCH = ('torch', 'torchvision')


@dataclass(frozen=True)
class Shell:
    """Runs commands, each printed before.

    Attributes:
        again: The command that all is done for, to be given again after a failure.
        dry_run: Whether they are only printed.
    """

    again: str
    dry_run: bool = False

    def run(self, command: list[str], **how) -> str:
        """What a command prints where ``stdout`` is a pipe, or nothing.

        Raises:
            UserError: It failed.
        """
        print(f'+ {shlex.join(command)}', flush=True)
        if self.dry_run:
            return ''
        # Python looks for modules in the current folder, too, and what the user has there is not meant.
        done = subprocess.run(command, text=True, cwd=FOLDER, **how)
        if done.returncode:
            raise UserError(f'this failed, as it says above: {shlex.join(command)}; then again: {self.again}')
        return (done.stdout or '').strip()

    def pip(self, action: str, *arguments: str, quiet: bool = True) -> None:
        """Run pip; uninstalling nothing is nothing."""
        if arguments[1:] or action != 'uninstall':
            self.run([sys.executable, '-m', 'pip', action, *['-qq'] * quiet, *arguments])


def mend(line: str | None = None, torch_index: str | None = None, dry_run: bool = False) -> None:
    """Install what is missing, in the environment of this Python, as tools/setup.sh does in a checkout.

    Args:
        line: ``onedl`` or ``upstream``, if none is there yet.
        torch_index: Another torch, by the address of its index or PyTorch's short name, such as cu126 or cpu.
        dry_run: Print the commands alone.

    Raises:
        UserError: A step failed, or cannot work here.
    """
    options = [('--line', line), ('--torch-index', torch_index)]
    given = [word for name, value in options if value for word in (name, value)]
    shell = Shell(shlex.join(['mmsoco', 'doctor', '--fix', *given]), dry_run)
    wanted = requirements('torch', EXTRAS[_settled(line)])
    if importlib.util.find_spec('pip') is None:
        raise UserError(f'{sys.executable} has no pip; run: {sys.executable} -m ensurepip')
    _install_torch(shell, [str(one) for one in wanted if one.name in TORCH], torch_index)
    shell.pip('install', 'setuptools>=64,<82', 'wheel', 'ninja', 'psutil')
    mmcv = next(one for one in wanted if one.name.endswith('mmcv'))
    if version(mmcv.name) is None or _has_to_be_compiled():
        _install_mmcv(shell, str(mmcv))
    if any(_brings_cv2(name) for name in RIVALS) or selective_search().fault:
        # With the files of one the others lose theirs.
        shell.pip('uninstall', '-y', *filter(version, (*RIVALS, CONTRIB)))
    with tempfile.TemporaryDirectory() as folder:
        stubs = [FOLDER / 'stubs' / name for name in RIVALS]
        if not dry_run:
            # pip writes beside what it builds.
            stubs = [shutil.copytree(stub, Path(folder, stub.name)) for stub in stubs]
        # In one command, so that pip looks for neither elsewhere.
        shell.pip('install', '--no-build-isolation', *map(str, stubs), *map(str, wanted + unfit()))


def _settled(line: str | None) -> str:
    """The line to install: what is there already, else what is asked for."""
    there = lines()
    if len(there) > 1:
        raise UserError(BOTH_LINES)
    if line and there and line != there[0]:
        raise UserError(
            f'--line {line}: the packages of {there[0]} are installed, and both share their folders; leave it out, or '
            'begin a new environment'
        )
    return line or next(iter(there), 'onedl')


def _install_torch(shell: Shell, torch: list[str], index: str | None) -> None:
    there = all(map(version, TORCH))
    if index or not there:
        print('fetching torch: some GB with the libraries of CUDA, 200 MB for CPUs alone; 1 to 5 minutes')
    if index is None:
        shell.pip('install', *torch, quiet=there)
        return
    address = index if '://' in index else f'https://download.pytorch.org/whl/{index}'
    # The one that is there goes when the other has been fetched.
    shell.pip('install', '--force-reinstall', '--index-url', address, *torch, quiet=False)


def _has_to_be_compiled() -> bool:
    found = operators()
    return bool(found.fault) or (os.environ.get('FORCE_CUDA') == '1' and WITHOUT_CUDA in found.value)


def _install_mmcv(shell: Shell, mmcv: str) -> None:
    """mmcv compiled for this torch, Python and card: once, since the wheel is kept where tools/setup.sh keeps it."""
    check = [sys.executable, '-W', 'ignore', str(FOLDER / 'tools/setup_check.py')]
    # A dry run may be of another torch than the one that is here.
    tag = shell.run(check, stdout=subprocess.PIPE) or 'TORCH-PYTHON-CARD'
    folder = Path(_cache(), 'wheels', tag).absolute()
    pattern = f'{mmcv.replace("-", "_").replace("==", "-")}-*.whl'
    install = ('install', '--force-reinstall', '--no-deps')
    for wheel in folder.glob(pattern):
        with suppress(UserError):  # damaged
            shell.pip(*install, str(wheel))
        if not _has_to_be_compiled():
            return
        print(f'{wheel} does not work, and is deleted')
        wheel.unlink()
    _have_compiler(shell, [*check, '--compiler'])
    print(f'compiling {mmcv}: {16 // (os.cpu_count() or 1) + 1} minutes or more, once')
    shell.pip(*install, str(_compile(shell, mmcv, folder, pattern)))


def _cache() -> Path:
    """Where the wheel is kept, as tools/setup.sh has it; who has no home names a place."""
    if named := os.environ.get('MMSOCO_CACHE'):
        return Path(named)
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'mmsoco')


def _compile(shell: Shell, mmcv: str, folder: Path, pattern: str) -> Path:
    # pip's own cache would not notice another torch.
    build = ('wheel', '--no-cache-dir', '--no-build-isolation', '--no-deps', '-w')
    if shell.dry_run:
        shell.pip(*build, str(folder), mmcv)
        return folder / pattern
    os.environ.update(MMCV_WITH_OPS='1', MAX_JOBS=str(os.cpu_count()))
    # Debug information doubles the time of a file.
    os.environ['CFLAGS'] = f'{os.environ.get("CFLAGS", "")} -g0'
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='building.', dir=folder) as building:
        shell.pip(*build, building, mmcv)
        (built,) = Path(building).glob(pattern)
        return built.rename(folder / built.name)


def _have_compiler(shell: Shell, check: list[str]) -> None:
    """Take nvcc from PyPI where mmcv is compiled for a card and none is here: torch 2.12 names its CUDA's packages."""
    toolkit = version('cuda-toolkit')
    if toolkit is not None and subprocess.run(check, cwd=FOLDER, capture_output=True).returncode:
        shell.pip('install', f'cuda-toolkit[cccl,crt,nvcc,nvvm]=={toolkit}')
        if not shell.dry_run:
            _use_nvcc()
    shell.run(check)


def _use_nvcc() -> None:
    """Let PyPI's nvcc be found."""
    nvcc = next(file for file in importlib.metadata.files('nvidia-cuda-nvcc') or () if file.match('bin/nvcc'))
    home = Path(nvcc.locate()).resolve().parents[1]
    os.environ['CUDA_HOME'] = str(home)
    # What linkers look for; the packages have the versioned name alone.
    (library,) = home.glob('lib/libcudart.so.*')
    if not (link := home / 'lib/libcudart.so').exists():
        link.symlink_to(library.name)


def _brings_cv2(name: str) -> bool:
    try:
        files = importlib.metadata.files(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return False
    return any(file.parts[0] == 'cv2' for file in files)
