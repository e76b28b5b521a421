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

#: Distribution that tells a line of the OpenMMLab packages -> the extra that installs it.
LINES = {'onedl-mmengine': 'train', 'mmengine': 'train-upstream'}
SHARED_MEMORY = Path('/dev/shm')
#: Bytes. Docker gives 64 MB; the loaders of the paper's recipe take 1.5 GB a process.
SHARED_MEMORY_LEAST = 2**30
FIX = 'run: mmsoco doctor --fix'

_OPERATORS = """
import torch
from mmcv.ops import nms

for device in ['cpu', *['cuda'] * torch.cuda.is_available()]:
    nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device), torch.ones(1, device=device), 0.5)
    print(device)
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
    """

    name: str
    value: str
    fault: str = ''


def examine() -> Iterator[Finding]:
    """Look at everything, one by one; the last ones take some seconds each."""
    kind = 'checkout' if IN_CHECKOUT else 'wheel'
    yield Finding('Python', f'{platform.python_version()}, {platform.platform()}')
    yield Finding('mmsoco', f'{mmsoco.__version__}, {kind}, {Path(mmsoco.__file__).parent}')
    yield from line()
    yield from packages()
    yield from devices()
    yield operators()
    yield selective_search()
    yield shared_memory()


def extra() -> str:
    """The extra of the line that is here; the maintained one's where none is."""
    return next((extra for name, extra in LINES.items() if version(name)), 'train')


def line() -> Iterator[Finding]:
    """Which line of the OpenMMLab packages is installed."""
    there = [name for name in LINES if version(name)]
    fault = ''
    if len(there) > 1:
        fault = 'both lines are installed, and share their folders; begin a new environment, with one of them'
    words = {'train': 'maintained (onedl-*)', 'train-upstream': 'original'}
    yield Finding('OpenMMLab line', ', '.join(words[LINES[name]] for name in there) or 'none', fault)


def packages() -> Iterator[Finding]:
    """What is required, by its version."""
    for wanted in requirements(extra()):
        there = version(wanted.name)
        if there is None:
            yield Finding(wanted.name, 'not installed', f'is needed ({wanted}); {FIX}')
        elif there not in wanted.specifier:
            yield Finding(wanted.name, there, f'is not {wanted.specifier}; {FIX}')
        else:
            yield Finding(wanted.name, there)


def requirements(extra: str) -> list[Requirement]:
    """What this distribution requires for training, without the markers that say so.

    Args:
        extra: Of a line.
    """
    found = []
    for text in importlib.metadata.requires('mmsoco') or ():
        wanted = Requirement(text)
        marker, wanted.marker = wanted.marker, None
        if wanted.name != 'mmsoco' and any(not marker or marker.evaluate({'extra': name}) for name in ('torch', extra)):
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
        return Finding('mmcv operators', f'work on {" and ".join(words.split())}')
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
    fault = ''
    if free < SHARED_MEMORY_LEAST:
        fault = 'is little for the workers that load images; start the container with --ipc=host or --shm-size=16g'
    return Finding(str(SHARED_MEMORY), f'{free / 2**30:.1f} GB free', fault)


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
