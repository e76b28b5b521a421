"""What training and the search need, each tried by using it."""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

import mmsoco
from mmsoco.errors import reason
from mmsoco.resources import FOLDER, IN_CHECKOUT

#: Line of the OpenMMLab packages -> its distributions, each of which tells it.
LINES = {
    'onedl': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmpretrain'),
    'upstream': ('mmengine', 'mmcv', 'mmdet', 'mmpretrain'),
}
#: Line -> the extra that installs it.
EXTRAS = {'onedl': 'train', 'upstream': 'train-upstream'}
BOTH_LINES = 'both lines are installed, and share their folders; begin a new environment, with one of them'
SHARED_MEMORY = Path('/dev/shm')
#: Bytes. Docker gives 64 MB; the loaders of the paper's recipe take 1.5 GB a process.
SHARED_MEMORY_LEAST = 2**30
FIX = 'run: mmsoco doctor --fix'
#: Not required, and of these versions alone where they are there. mmpretrain asks transformers for what 5 has no more.
BESIDE = (Requirement('transformers<5'),)

WITHOUT_CUDA = 'compiled without CUDA'

# A card that torch itself cannot use, or that is full, says nothing of mmcv.
_OPERATORS = f"""
import torch
from mmcv.ops import get_compiling_cuda_version, nms
from mmsoco.devices import try_device

def call(device):
    nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device), torch.ones(1, device=device), 0.5)

call('cpu')
words = 'work on cpu'
if torch.cuda.is_available():
    try:
        usable = try_device() is None
        if usable:
            call('cuda')
    except RuntimeError as error:
        if 'out of memory' not in str(error):
            raise
        usable = False
    words += ' and cuda' if usable else '; the card was not tried, since torch cannot use it now'
if get_compiling_cuda_version() == 'not available':
    words += ' ({WITHOUT_CUDA})'
print(words)
"""
_SEARCH = """
import cv2
import numpy as np
from mmsoco.proposals.generators.selective_search import SearchParameters, selective_search

image = np.full((60, 80, 3), 200, np.uint8)
image[15:45, 20:60] = 20, 90, 160
assert len(selective_search(image, SearchParameters(min_size=20)))
print('OpenCV', cv2.__version__)
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        value: What is there.
        fault: What is wrong, and what to do; nothing where it is right.
        warning: What may be too little for some work.
    """

    name: str
    value: str
    fault: str = ''
    warning: str = ''


def examine() -> Iterator[Finding]:
    """Look at everything, one by one; the last ones take some seconds each."""
    kind = 'checkout' if IN_CHECKOUT else 'wheel'
    yield Finding('Python', f'{platform.python_version()}, {platform.platform()}')
    yield Finding('mmsoco', f'{mmsoco.__version__}, {kind}, {Path(mmsoco.__file__).parent}')
    yield line()
    yield from packages()
    if not is_for_search():
        yield from devices()
        yield operators()
    yield selective_search()
    yield shared_memory()


def lines() -> list[str]:
    """The lines of the OpenMMLab packages that something is installed of."""
    return [line for line, names in LINES.items() if any(map(version, names))]


def extra() -> str:
    """The extra of the line that is here; the maintained one's where none is."""
    return EXTRAS[next(iter(lines()), 'onedl')]


def is_for_search() -> bool:
    """Whether nothing is here that only training needs: the search for proposals does without."""
    return not lines() and version('torch') is None


def line() -> Finding:
    """Which line of the OpenMMLab packages is installed."""
    if is_for_search():
        return Finding('OpenMMLab line', "none, search only; training needs pip install 'mmsoco[train]'")
    there = lines()
    words = {'onedl': 'maintained (onedl-*)', 'upstream': 'original'}
    named = ', '.join(words[line] for line in there) or 'none'
    return Finding('OpenMMLab line', named, BOTH_LINES if len(there) > 1 else '')


def packages() -> Iterator[Finding]:
    """What is required, by its version."""
    search = is_for_search()
    for wanted in requirements() if search else requirements('torch', extra()):
        fix = f"run: pip install '{wanted}'" if search else FIX
        there = version(wanted.name)
        if there is None:
            yield Finding(wanted.name, 'not installed', f'is needed ({wanted}); {fix}')
        elif there not in wanted.specifier:
            yield Finding(wanted.name, there, f'is not {wanted.specifier}; {fix}')
        else:
            yield Finding(wanted.name, there)
    if not search:
        for wanted in unfit():
            yield Finding(wanted.name, version(wanted.name), f'keeps mmpretrain from being imported; {FIX}')


def unfit() -> list[Requirement]:
    """What is installed, by nobody's requirement here, of a version that does not go with the OpenMMLab packages."""
    there = ((wanted, version(wanted.name)) for wanted in BESIDE)
    return [wanted for wanted, found in there if found and not wanted.specifier.contains(found, prereleases=True)]


def requirements(*extras: str) -> list[Requirement]:
    """What this distribution requires with some of its extras, without the markers that say so."""
    found = []
    for text in importlib.metadata.requires('mmsoco') or ():
        wanted = Requirement(text)
        marker, wanted.marker = wanted.marker, None
        if wanted.name != 'mmsoco' and any(not marker or marker.evaluate({'extra': name}) for name in ('', *extras)):
            found.append(wanted)
    return found


def version(name: str) -> str | None:
    """Of a distribution; None where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def devices() -> Iterator[Finding]:
    """Cards and their driver, each tried."""
    try:
        import torch

        from mmsoco import devices
    except (ImportError, OSError) as error:
        yield Finding('torch', 'cannot be imported', f'{reason(error)}; {FIX}')
        return
    fault = devices.why_unusable() or devices.try_device() or ''
    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    driver = devices.driver_version() or 'none'
    yield Finding('computes with', f'{devices.torch_words()}; driver {driver}; {", ".join(cards) or "CPU"}', str(fault))


def operators() -> Finding:
    """mmcv's compiled operators, called on each device."""
    worked, words = _try(_OPERATORS)
    if worked:
        return Finding('mmcv operators', words)
    return Finding('mmcv operators', 'do not work', f'{words}: pip builds mmcv without them; {FIX}')


def selective_search() -> Finding:
    """OpenCV's, called."""
    worked, words = _try(_SEARCH)
    if worked:
        return Finding('selective search', f'works, by {words}')
    what = FIX
    if 'lib' in words and '.so' in words:
        what = 'install the library, on Debian: apt-get install libgl1 libglib2.0-0'
    return Finding('selective search', 'does not work', f'{words}; {what}')


def shared_memory() -> Finding:
    """The memory by which the loaders' workers hand over their batches."""
    if not SHARED_MEMORY.is_dir():
        return Finding(str(SHARED_MEMORY), 'not there')
    free = shutil.disk_usage(SHARED_MEMORY).free
    little = ''
    if free < SHARED_MEMORY_LEAST:
        little = 'is little for the workers that load images; start the container with --ipc=host or --shm-size=16g'
    return Finding(str(SHARED_MEMORY), f'{free / 2**30:.1f} GB free', warning=little)


def _try(program: str) -> tuple[bool, str]:
    """Run Python in a process of its own, which what does not fit may kill.

    Returns:
        Whether it worked, and what it printed or, in a line, why not.
    """
    command = [sys.executable, '-W', 'ignore', '-c', program]
    # Beside configs and tools: what lies in the user's folder is not to be imported.
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    if done.returncode == 0:
        return True, done.stdout.strip()
    if done.returncode < 0:
        return False, f'killed by signal {-done.returncode}'
    return False, (done.stderr.strip().splitlines() or ['no reason was printed'])[-1]
