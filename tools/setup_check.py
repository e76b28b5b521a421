#!/usr/bin/env python
"""Whether this environment's torch fits the machine, before mmcv is compiled for both.

tools/setup.sh and mmsoco doctor ask it.

python tools/setup_check.py             print what mmcv is compiled for
python tools/setup_check.py --compiler  look whether it can be compiled
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from mmsoco.devices import (
    WHEELS,
    advice,
    built_for,
    capabilities,
    driver_version,
    has_kernels,
    torch_words,
    why_unusable,
)
from mmsoco.errors import UserError, command
from mmsoco.resources import SETUP, setup_with_torch

_FOR_CPU = f'or set up for the CPU alone: CUDA_VISIBLE_DEVICES= {SETUP}'


def check_card(root: str | os.PathLike = '/') -> None:
    """Refuse a torch that none of the cards can be used by.

    Args:
        root: Folder that ``dev/`` and ``proc/`` are in.

    Raises:
        UserError: With what to do.
    """
    if not torch.version.cuda:  # CPUs alone, or ROCm: it was asked for
        return
    cards, archs = capabilities(), built_for()
    if cards and not any(has_kernels(card, archs) for card in cards):
        have = ', '.join(f'{major}.{minor}' for major, minor in sorted(set(cards)))
        raise UserError(
            f'the card has compute capability {have}, and {torch_words()}, has kernels for {" ".join(archs)} alone; '
            f'{advice(min(cards), driver_version(root))}, {_FOR_CPU}'
        )
    if words := why_unusable(root):
        raise UserError(f'{words}, {_FOR_CPU}')


def check_compiler() -> None:
    """Refuse to compile mmcv's operators for a GPU without an nvcc of torch's CUDA.

    Raises:
        UserError: With what to do.
    """
    forced = os.environ.get('FORCE_CUDA') == '1'
    cards = capabilities()
    if forced and not (torch.version.cuda or torch.version.hip):
        raise UserError(
            f'FORCE_CUDA=1 is for a torch of CUDA, and {torch_words()}, is here; set up with another one, '
            f'{setup_with_torch(WHEELS[0].index)}, or unset it'
        )
    if not torch.version.cuda or not (forced or cards):
        return
    if not cards and not os.environ.get('TORCH_CUDA_ARCH_LIST'):
        raise UserError('FORCE_CUDA=1 without a card: name those to compile for, such as TORCH_CUDA_ARCH_LIST=8.0')
    wanted = torch.version.cuda.split('.')[0]
    needs = f'mmcv is compiled by an nvcc of CUDA {wanted}, as {torch_words()}, is'
    nvcc = find_nvcc()
    if nvcc is None:
        raise UserError(f'{needs}, and there is none; install its toolkit and name the folder as CUDA_HOME, {_FOR_CPU}')
    said = subprocess.run([nvcc, '--version'], capture_output=True, text=True).stdout
    there = re.search(r'release (\d+)\.(\d+)', said)
    if there is None or there[1] == wanted:
        return
    other = [
        wheel.index
        for wheel in WHEELS
        if wheel.index[2:4] == there[1] and all(has_kernels(card, wheel.archs) for card in cards)
    ]
    instead = f', or take a torch of CUDA {there[1]}: {setup_with_torch(other[0])}' if other else ''
    raise UserError(
        f'{needs}, and {nvcc} is of CUDA {there[1]}.{there[2]}; name the folder of a toolkit of CUDA {wanted} as '
        f'CUDA_HOME{instead}'
    )


def find_nvcc() -> str | None:
    """The compiler that torch's extensions would take."""
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    if home:
        path = Path(home, 'bin/nvcc')
        return str(path) if path.exists() else None
    return shutil.which('nvcc') or shutil.which('/usr/local/cuda/bin/nvcc')


def tag() -> str:
    """What a compiled mmcv depends on: torch, Python, and the cards that it has operators for."""
    python = f'cp{sys.version_info.major}{sys.version_info.minor}'
    device = 'cpu'
    # mmcv compiles operators for a GPU where torch sees one, or is told to.
    if torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1':
        cards = '_'.join(f'{major}.{minor}' for major, minor in sorted(set(capabilities())))
        archs = re.sub(r'[^\w.+]+', '_', os.environ.get('TORCH_CUDA_ARCH_LIST') or cards)
        device = f'cuda{torch.version.cuda}-{archs}'
    return f'torch-{torch.__version__}-{python}-{device}'


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--compiler', action='store_true', help='look whether mmcv can be compiled')
    if parser.parse_args().compiler:
        check_compiler()
        return
    check_card()
    print(tag())


if __name__ == '__main__':
    main()
