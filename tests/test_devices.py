"""Devices without any: files that look like a driver's, and torch.cuda as it would answer."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from mmsoco import devices
from mmsoco.devices import (
    advice,
    driver_version,
    has_kernels,
    is_hidden,
    require_usable,
    try_device,
    use_device,
    visible_cards,
)
from mmsoco.errors import UserError

CLOSED = 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.82.01  Wed Oct 27 21:21:55 UTC 2021\nGCC version: 9\n'
OPEN = 'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build  (dvs-builder@U22)\n'


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty machine, whose torch sees no card."""
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(devices, 'ask_nvidia_smi', lambda what: '')
    return tmp_path


def put(root, path, text=''):
    path = root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ('capability', 'archs', 'runs'),
    [
        ((7, 0), 'sm_75 sm_80 sm_86 sm_90 sm_100 sm_120', False),  # V100 and torch 2.12 of PyPI
        ((7, 0), 'sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90', True),
        ((8, 9), 'sm_80', True),
        ((8, 0), 'sm_86', False),
        ((9, 0), 'sm_80 sm_86', False),
        ((9, 0), 'sm_80 compute_80', True),
        ((7, 5), 'compute_80', False),
        ((12, 1), 'sm_120', True),
        ((10, 0), 'sm_90a', False),
        ((9, 0), 'sm_90a', True),
        ((10, 3), 'sm_100f', True),
        ((11, 0), 'sm_100f', False),
        ((8, 7), 'sm_80 sm_86', False),  # Orin
        ((8, 7), 'sm_87', True),
        ((8, 9), 'sm_87', False),
        ((12, 0), '', True),
        ((8, 0), 'gfx90a', False),
    ],
)
def test_kernels_run_on_cards_as_cuda_says(capability, archs, runs):
    assert has_kernels(capability, archs.split()) is runs


@pytest.mark.parametrize(
    ('value', 'hidden'),
    [
        ('', True),
        (' ', True),
        ('-1', True),
        ('NoDevFiles', True),
        ('0', False),
        ('1,0', False),
        ('GPU-89f', False),
    ],
)
def test_cards_that_are_hidden(value, hidden):
    assert is_hidden({'CUDA_VISIBLE_DEVICES': value}) is hidden
    assert not is_hidden({})


@pytest.mark.parametrize(('text', 'version'), [(CLOSED, '470.82.01'), (OPEN, '580.82.07'), ('x\n', None)])
def test_version_of_the_driver(root, text, version):
    put(root, 'proc/driver/nvidia/version', text)
    assert driver_version(root) == version


def test_under_wsl_nvidia_smi_is_asked(root, monkeypatch):
    assert driver_version(root) is None
    monkeypatch.setattr(devices, 'ask_nvidia_smi', lambda what: '576.02\n576.02\n')
    assert driver_version(root) == '576.02'


@pytest.mark.parametrize('path', ['dev/nvidia0', 'dev/nvidia12', 'dev/nvidiactl', 'usr/lib/wsl/lib/libcuda.so.1'])
def test_a_card_that_torch_cannot_use_ends_the_run_in_a_line(root, path, monkeypatch):
    require_usable(root)
    put(root, path)
    put(root, 'proc/driver/nvidia/version', CLOSED)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    with pytest.raises(UserError) as stop:
        require_usable(root)
    words = str(stop.value)
    for part in (path, 'driver 470.82.01', f'torch {torch.__version__}', 'CUDA 13.0', 'driver 580', 'TORCH_INDEX='):
        assert part in words
    assert words.endswith('--device cpu computes without it') and '\n' not in words
    for value in ('', '-1'):
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', value)
        require_usable(root)


def test_what_is_no_card_of_nvidia_stops_nothing(root):
    # /dev/dxg is there for any card under WSL, /dev/kfd for every processor of AMD with graphics.
    for path in ('dev/dxg', 'dev/kfd', 'dev/nvidia-uvm', 'proc/driver/nvidia/version'):
        put(root, path)
    require_usable(root)


def test_a_rocm_build_is_for_cards_of_amd(root, monkeypatch):
    put(root, 'dev/kfd')
    monkeypatch.setattr(torch.version, 'hip', '6.4')
    monkeypatch.setattr(torch.version, 'cuda', None)
    with pytest.raises(UserError, match=r'/dev/kfd.* built for ROCm 6.4 cannot use it'):
        require_usable(root)


def test_a_build_for_cpus_says_which_one_to_take(root, monkeypatch):
    put(root, 'dev/nvidia0')
    put(root, 'proc/driver/nvidia/version', OPEN)
    monkeypatch.setattr(torch.version, 'cuda', None)
    with pytest.raises(UserError, match=r'built for CPUs alone; .*make clean && make setup TORCH_INDEX=cu130'):
        require_usable(root)


def test_where_versions_fit_torch_says_why(root, monkeypatch):
    put(root, 'dev/nvidia0')
    put(root, 'proc/driver/nvidia/version', OPEN)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')

    def fail():
        raise RuntimeError('CUDA unknown error - this may be due to an incorrectly set up environment.\nmore')

    monkeypatch.setattr(torch.cuda, 'init', fail)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '9')
    words = r'driver 580.82.07, .*, CUDA_VISIBLE_DEVICES=9 \(CUDA unknown error .*--gres=gpu:1'
    with pytest.raises(UserError, match=words):
        require_usable(root)


def test_which_torch_for_which_card():
    assert advice((7, 0)).endswith('TORCH_INDEX=cu126')
    assert advice((12, 0)).endswith('TORCH_INDEX=cu130')
    assert advice((8, 0), '560.35.03').endswith('TORCH_INDEX=cu126')
    assert advice((8, 0), '580.82').endswith('TORCH_INDEX=cu130')
    # A card too new for the old build, and a driver too old for the new one.
    assert advice((12, 0), '570.86').startswith('update the driver to 580 or later')
    assert advice((8, 0), '470.82').startswith('update the driver to 525 or later')
    assert 'has kernels for it' in advice((3, 5))


def fake_card(monkeypatch, capability, archs='sm_75 sm_80 sm_86 sm_90 sm_100 sm_120'):
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device=None: 'Tesla V100')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device=None: capability)
    monkeypatch.setattr(torch.cuda, 'get_arch_list', archs.split)


def test_a_card_without_kernels_is_named(root, monkeypatch):
    assert try_device() is None
    fake_card(monkeypatch, (7, 0))
    assert 'Tesla V100 has compute capability 7.0' in str(try_device())
    assert 'TORCH_INDEX=cu126' in str(try_device())


def test_a_card_that_fails_is_named(root, monkeypatch):
    fake_card(monkeypatch, (8, 0))

    def fail(*shape, device):
        raise RuntimeError('CUDA error: all CUDA-capable devices are busy or unavailable\nCUDA kernel errors might')

    monkeypatch.setattr(torch, 'zeros', fail)
    assert 'devices are busy or unavailable; free it' in str(try_device())
    # Of several cards the choice comes first, and may fail.
    monkeypatch.setattr(torch.cuda, 'set_device', lambda number: fail(device=number))
    assert 'devices are busy or unavailable; free it' in str(try_device(3))


def test_cards_are_known_by_what_they_are(root, monkeypatch):
    assert visible_cards() == []
    fake_card(monkeypatch, (8, 0))
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda number: SimpleNamespace(uuid=f'GPU-{number}'))
    assert visible_cards() == ['GPU-0', 'GPU-1']

    def fail(number):
        raise RuntimeError('CUDA error: unknown error')

    monkeypatch.setattr(torch.cuda, 'get_device_properties', fail)
    assert len(set(visible_cards())) == 2


def test_cuda_that_is_asked_for_and_not_there(root, monkeypatch):
    put(root, 'dev/nvidia0')
    use_device(None, root)  # to be said when all processes have met
    (root / 'dev/nvidia0').unlink()
    with pytest.raises(UserError, match=r'--device cuda:1: there is none \(no card of NVIDIA is here'):
        use_device('cuda:1', root)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    with pytest.raises(UserError, match='CUDA_VISIBLE_DEVICES is empty'):
        use_device('cuda', root)


def test_the_cpu_although_a_card_is_there(root, monkeypatch):
    put(root, 'dev/nvidia0')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    use_device('cpu', root)  # one that cannot be used
    assert os.environ['CUDA_VISIBLE_DEVICES'] == ''
    require_usable(root)


def test_a_tool_that_has_seen_the_cards_starts_again_without_them(root, monkeypatch):
    begun = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(os, 'execv', lambda *words: begun.append((os.environ['CUDA_VISIBLE_DEVICES'], *words)))
    monkeypatch.setattr(sys, 'orig_argv', ['python', '-W', 'ignore', 'tools/train.py', 'a b.py', '--device', 'cpu'])
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    use_device('cpu', root)
    words = [sys.executable, '-W', 'ignore', 'tools/train.py', 'a b.py', '--device', 'cpu']
    assert begun == [('', sys.executable, words)]
    # Only once.
    with pytest.raises(UserError, match='CUDA_VISIBLE_DEVICES is empty, and CUDA still has a card'):
        use_device('cpu', root)


@pytest.mark.slow
def test_it_starts_again_as_it_was_called(tmp_path):
    """With a torch that has cards until they are hidden."""
    script = tmp_path / 'tool.py'
    script.write_text(
        'import os, sys, torch\n'
        "there = os.environ.get('CUDA_VISIBLE_DEVICES') != ''\n"  # CUDA reads it once
        'torch.cuda.is_available = lambda: there\n'
        'from mmsoco.devices import use_device\n'
        "print('begins', os.getpid(), sys.flags.utf8_mode, sys.argv[1:])\n"
        "use_device('cpu')\n"
        "print('computes', torch.cuda.is_available())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != 'CUDA_VISIBLE_DEVICES'}
    run = subprocess.run(
        [sys.executable, '-X', 'utf8', script, 'a b'], env=environment, capture_output=True, text=True, timeout=120
    )
    first, second, last = run.stdout.splitlines()
    assert first == second and first.endswith("1 ['a b']") and last == 'computes False', run.stderr
