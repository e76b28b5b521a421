"""Which device a run computes on: never the CPU in silence where a GPU is there."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from mmsoco.errors import UserError, reason
from mmsoco.resources import setup_with_torch

#: What ``--device`` takes.
DEVICES = ('cpu', 'cuda')
#: Hides all cards from CUDA, when it is set to nothing.
VISIBLE = 'CUDA_VISIBLE_DEVICES'
#: First entries by which schedulers say the same (Slurm's is NoDevFiles); CUDA stops reading at what is no card.
_NO_CARD = re.compile(r'\s*($|-|,|nodevfiles|none|void)', re.I)
#: Kernel interfaces of NVIDIA's driver; under WSL that of any card, and the library that only NVIDIA's driver brings.
_NODES = ('dev/nvidia[0-9]*', 'dev/nvidiactl', 'usr/lib/wsl/lib/libcuda.so*')
#: Boards whose kernels are their own: neither do others' run there, nor theirs elsewhere (torch.cuda's table).
_TEGRA = {(5, 3), (6, 2), (7, 2), (8, 7), (10, 1), (11, 0)}
_OVERRIDE = '--device cpu computes without it'

Capability = tuple[int, int]


@dataclass(frozen=True)
class Wheel:
    """One of PyTorch's builds.

    Attributes:
        index: Its short name, as ``TORCH_INDEX`` takes it.
        driver: Oldest driver that runs its CUDA (CUDA's release notes: 13.x needs 580, 12.x 525).
        archs: What it has kernels for (torch.cuda's ``PYTORCH_RELEASES_CODE_CC``, torch 2.12).
    """

    index: str
    driver: int
    archs: tuple[str, ...]


WHEELS = (
    Wheel('cu130', 580, ('sm_75', 'sm_80', 'sm_86', 'sm_90', 'sm_100', 'sm_110', 'sm_120')),
    Wheel('cu126', 525, ('sm_50', 'sm_60', 'sm_70', 'sm_75', 'sm_80', 'sm_86', 'sm_90')),
)


def is_hidden(environ: dict | os._Environ = os.environ) -> bool:
    """Whether the environment hides all cards from CUDA."""
    return VISIBLE in environ and bool(_NO_CARD.match(environ[VISIBLE]))


def nvidia_device(root: str | os.PathLike = '/') -> str | None:
    """The first file that says that NVIDIA's driver has a card here, or None.

    Args:
        root: Folder that ``dev/`` and ``usr/`` are in.
    """
    for pattern in _NODES:
        if found := sorted(Path(root).glob(pattern)):
            return str(found[0])
    return None


def driver_version(root: str | os.PathLike = '/') -> str | None:
    """The version of NVIDIA's driver, such as 580.82.07; None where nothing says it."""
    try:
        text = Path(root, 'proc/driver/nvidia/version').read_text(errors='replace')
        found = re.search(r'Kernel Module.*?\s(\d+(?:\.\d+)+)\s', text)
    except OSError:  # under WSL
        found = re.match(r'\s*(\d{3,}(?:\.\d+)+)', ask_nvidia_smi('driver_version'))
    return found and found[1]


def ask_nvidia_smi(what: str) -> str:
    """What nvidia-smi says of each card, a line each; '' where there is none, or it fails."""
    command = ['nvidia-smi', f'--query-gpu={what}', '--format=csv,noheader']
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ''


def capabilities() -> list[Capability]:
    """Compute capabilities of the cards that are not hidden, also of those that torch cannot use."""
    if is_hidden():
        return []
    if torch.cuda.is_available():
        return [torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())]
    return [(int(a), int(b)) for a, b in re.findall(r'^\s*(\d+)\.(\d+)\s*$', ask_nvidia_smi('compute_cap'), re.M)]


def built_for() -> list[str]:
    """What this torch has kernels for, such as ``sm_80``, also where it sees no card; nothing of a CPU build."""
    # torch.cuda.get_arch_list() is empty where no card can be used.
    flags = getattr(torch._C, '_cuda_getArchFlags', lambda: None)()
    return torch.cuda.get_arch_list() or (flags or '').split()


def has_kernels(capability: Capability, archs: Collection[str]) -> bool:
    """Whether a card runs what was built for some architectures.

    Machine code (``sm_80``) runs on cards of the same major number and the same or a
    higher minor one, that of ``sm_90a`` on 9.0 alone; ``compute_80`` is translated for
    that card and all later ones (CUDA C++ Programming Guide, binary and PTX
    compatibility).

    Args:
        capability: Of the card, such as (7, 0).
        archs: As ``torch.cuda.get_arch_list()`` names them; of nothing all is said to run.
    """
    return not archs or any(_runs(capability, arch) for arch in archs)


def _runs(capability: Capability, arch: str) -> bool:
    found = re.fullmatch(r'(sm|compute)_(\d+)(\d)([a-z]?)', arch)
    if found is None:
        return False
    kind, major, minor, suffix = found[1], int(found[2]), int(found[3]), found[4]
    if suffix == 'a' or (kind == 'sm' and _TEGRA & {capability, (major, minor)}):
        return capability == (major, minor)
    if kind == 'compute' and not suffix:
        return capability >= (major, minor)
    return capability[0] == major and capability[1] >= minor


def advice(capability: Capability | None = None, driver: str | None = None) -> str:
    """Which torch to set up with, in words.

    Args:
        capability: Of the card, if it is known.
        driver: Version of the driver, if it is known.
    """
    fitting = [wheel for wheel in WHEELS if capability is None or has_kernels(capability, wheel.archs)]
    if not fitting:
        return 'install a torch that has kernels for it, then: mmsoco doctor --fix'
    newest = int(driver.split('.')[0]) if driver else None
    for wheel in fitting:
        if newest is None or newest >= wheel.driver:
            return f'set up with a torch that fits: {setup_with_torch(wheel.index)}'
    oldest = fitting[-1]
    return f'update the driver to {oldest.driver} or later, then: {setup_with_torch(oldest.index)}'


def torch_words() -> str:
    """This torch, and what it was built for."""
    made = next((f'{name} {version}' for name, version in _builds() if version), 'CPUs alone')
    return f'torch {torch.__version__}, built for {made}'


def _builds() -> Iterable[tuple[str, str | None]]:
    return ('CUDA', torch.version.cuda), ('ROCm', torch.version.hip)


def why_unusable(root: str | os.PathLike = '/') -> str | None:
    """Why the card that is here cannot be used, and what to do; None where there is none, or it can, or it is hidden.

    Args:
        root: Folder that ``dev/``, ``proc/`` and ``usr/`` are in.
    """
    if torch.cuda.is_available() or is_hidden():
        return None
    if torch.version.hip and Path(root, 'dev/kfd').exists():
        return f'a GPU is there (/dev/kfd), and {torch_words()} cannot use it: {_words_of_cuda()}'
    device = nvidia_device(root)
    if device is None:
        return None
    driver = driver_version(root)
    words = f'a GPU is there ({device}), and torch cannot use it: driver {driver or "of unknown version"}, '
    words += torch_words()
    card = min(capabilities(), default=None)
    if not torch.version.cuda:
        return f'{words}; {advice(card, driver)}'
    needed = next((w.driver for w in WHEELS if w.index[2:4] == torch.version.cuda.split('.')[0]), None)
    if driver and needed and int(driver.split('.')[0]) < needed:
        return f'{words}, which needs driver {needed} or later; update it, or {advice(card, driver)}'
    shown = f', {VISIBLE}={os.environ[VISIBLE]}' if VISIBLE in os.environ else ''
    return (
        f'{words}{shown} ({_words_of_cuda()}); look whether nvidia-smi shows it and whether this job or container '
        'was given it (Slurm: --gres=gpu:1, Docker: --gpus all)'
    )


def _words_of_cuda() -> str:
    """What torch says when it is told to use CUDA."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return reason(error, bare=True)
    return 'it names no reason'


def require_usable(root: str | os.PathLike = '/') -> None:
    """Refuse to compute on the CPU where a card is there, unless it was hidden on purpose.

    Raises:
        UserError: With the driver's and torch's versions, and what to do.
    """
    if words := why_unusable(root):
        raise UserError(f'{words}; {_OVERRIDE}')


def use_device(asked: str | None, root: str | os.PathLike = '/') -> None:
    """Let a tool compute where ``--device`` says; to be called first, and by tools alone.

    For ``cpu`` the cards are hidden from CUDA. Where it has seen them already, which
    importing mmengine is enough for, hiding them comes too late: the tool then starts
    again, in the same process. Where nothing is asked, see :func:`require_usable`.

    Args:
        asked: One of :data:`DEVICES`, or one of several cards, such as cuda:1; None for CUDA where it is there.
        root: See :func:`why_unusable`.

    Raises:
        UserError: CUDA is asked for, and there is none, or it cannot be used.
    """
    if asked == 'cpu':
        hidden = is_hidden()
        os.environ[VISIBLE] = ''
        if torch.cuda.is_available():
            if hidden:
                raise UserError(f'{VISIBLE} is empty, and CUDA still has a card; unset what shows it')
            sys.stdout.flush()
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    elif asked and not torch.cuda.is_available():
        require_usable(root)
        why = f'{VISIBLE} is empty' if is_hidden() else 'no card of NVIDIA is here'
        raise UserError(f'--device {asked}: there is none ({why}; {torch_words()}); leave it out, or give --device cpu')


def visible_cards() -> list[str]:
    """What the cards that this process sees are known by, everywhere: their UUIDs, of torch from 2.4 on."""
    if not torch.cuda.is_available():
        return []
    try:
        cards = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    except RuntimeError:  # to be said by try_device()
        cards = [None] * torch.cuda.device_count()
    place = f'{socket.gethostname()} {os.environ.get(VISIBLE)}'
    return [str(getattr(card, 'uuid', f'{place} {number}')) for number, card in enumerate(cards)]


def try_device(number: int | None = None) -> UserError | None:
    """What is wrong with the card of this process; None where it computes, or there is none.

    Args:
        number: Of the card, which becomes torch's own; None where that has been chosen.
    """
    if not torch.cuda.is_available():
        return None
    try:
        if number is not None:
            torch.cuda.set_device(number)
        if torch.version.cuda:
            name, capability = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
            archs = torch.cuda.get_arch_list()
            if not has_kernels(capability, archs):
                return UserError(
                    f'{name} has compute capability {capability[0]}.{capability[1]}, and {torch_words()}, has kernels '
                    f'for {" ".join(archs)} alone; {advice(capability, driver_version())}; {_OVERRIDE}'
                )
        torch.zeros(1, device='cuda').add_(1)
    except RuntimeError as error:
        return UserError(
            f'the GPU is there and cannot be used: {reason(error, bare=True)}; free it, or take another one by '
            f'{VISIBLE}; {_OVERRIDE}'
        )
    return None
