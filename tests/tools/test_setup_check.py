import os
import subprocess
import sys

import pytest
import torch
from scripts import load_script

from mmsoco import devices
from mmsoco.errors import UserError

setup_check = load_script('tools/setup_check.py')

OF_PYPI = 'sm_75 sm_80 sm_86 sm_90 sm_100 sm_120'


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """One whose nvidia-smi and nvcc, first on PATH, say what a test wants."""
    for name in ('CUDA_VISIBLE_DEVICES', 'FORCE_CUDA', 'TORCH_CUDA_ARCH_LIST', 'CUDA_HOME', 'CUDA_PATH'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:/usr/bin:/bin')
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(setup_check, 'built_for', OF_PYPI.split)

    def says(program, text, folder=tmp_path / 'bin'):
        folder.mkdir(exist_ok=True, parents=True)
        (folder / program).write_text(f'#!/bin/sh\ncat <<END\n{text}\nEND\n')
        (folder / program).chmod(0o755)

    return says


def of_cuda(version):
    return f'nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release {version}, V{version}.131'


def test_without_a_card_nothing_is_asked(machine, tmp_path):
    setup_check.check_card(tmp_path)
    setup_check.check_compiler()
    assert setup_check.tag().endswith('-cpu') and torch.__version__ in setup_check.tag()


def test_a_card_without_kernels_is_refused(machine, tmp_path, monkeypatch):
    machine('nvidia-smi', '7.0\n7.0')
    words = r'capability 7.0, and torch .* has kernels for sm_75 .* alone; .*TORCH_INDEX=cu126, or set up for the CPU'
    with pytest.raises(UserError, match=words):
        setup_check.check_card(tmp_path)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    setup_check.check_card(tmp_path)
    setup_check.check_compiler()


def test_one_card_of_several_is_enough(machine, tmp_path):
    machine('nvidia-smi', '6.1\n8.9')
    setup_check.check_card(tmp_path)


def test_a_driver_that_is_too_old_is_refused(machine, tmp_path):
    machine('nvidia-smi', '8.6')
    (tmp_path / 'dev').mkdir()
    (tmp_path / 'dev/nvidia0').touch()
    version = tmp_path / 'proc/driver/nvidia/version'
    version.parent.mkdir(parents=True)
    version.write_text('NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu\n')
    with pytest.raises(UserError, match=r'needs driver 580 or later; update it, or .*TORCH_INDEX=cu126'):
        setup_check.check_card(tmp_path)


@pytest.mark.parametrize('text', ['NVIDIA-SMI has failed', ''])
def test_an_nvidia_smi_that_fails_says_nothing(machine, tmp_path, text):
    machine('nvidia-smi', text)
    assert devices.capabilities() == []
    setup_check.check_card(tmp_path)


def test_the_compiler_is_of_the_same_cuda(machine, tmp_path, monkeypatch):
    machine('nvidia-smi', '8.0')
    monkeypatch.setattr(setup_check.shutil, 'which', lambda name: None)
    with pytest.raises(UserError, match=r'an nvcc of CUDA 13, .* there is none; .* CUDA_HOME'):
        setup_check.check_compiler()
    monkeypatch.undo()


@pytest.mark.parametrize('place', ['bin', 'home/bin'])
def test_a_compiler_of_another_cuda(machine, tmp_path, monkeypatch, place):
    machine('nvidia-smi', '8.0')
    machine('nvcc', of_cuda('12.6'), tmp_path / place)
    if place != 'bin':
        machine('nvcc', of_cuda('13.0'))  # CUDA_HOME comes first
        monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'home'))
    with pytest.raises(UserError, match=rf'{tmp_path}/{place}/nvcc is of CUDA 12.6; .*CUDA 13 .*TORCH_INDEX=cu126'):
        setup_check.check_compiler()
    # A build for that compiler, but not for this card.
    machine('nvidia-smi', '12.0')
    with pytest.raises(UserError, match=r'is of CUDA 12.6; .* as CUDA_HOME$'):
        setup_check.check_compiler()
    machine('nvcc', of_cuda('13.2'), tmp_path / place)
    setup_check.check_compiler()


def test_operators_by_force_need_to_know_the_cards(machine, monkeypatch):
    machine('nvcc', of_cuda('13.0'))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setenv('FORCE_CUDA', '1')
    with pytest.raises(UserError, match=r'TORCH_CUDA_ARCH_LIST=8.0'):
        setup_check.check_compiler()
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '8.0;9.0+PTX')
    setup_check.check_compiler()
    assert setup_check.tag().endswith('-cuda13.0-8.0_9.0+PTX')


def test_a_wheel_is_kept_for_its_cards(machine, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 3)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda i: [(9, 0), (8, 0), (9, 0)][i])
    assert setup_check.tag().endswith('-cuda13.0-8.0_9.0')


def test_a_torch_for_cpus_was_asked_for(machine, tmp_path, monkeypatch):
    machine('nvidia-smi', '7.0')
    monkeypatch.setattr(torch.version, 'cuda', None)
    setup_check.check_card(tmp_path)
    setup_check.check_compiler()
    monkeypatch.setenv('FORCE_CUDA', '1')
    with pytest.raises(UserError, match=r'built for CPUs alone, is here; .*TORCH_INDEX=cu130, or unset it'):
        setup_check.check_compiler()


@pytest.fixture
def setup(root, tmp_path):
    """Calls tools/setup.sh in a copy of the checkout's root, with a Python that writes down what it is asked."""
    for name in ('tools', 'stubs/a'):
        (tmp_path / name).mkdir(parents=True)
    for name in ('setup.cfg', 'pyproject.toml', 'tools/setup.sh'):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (tmp_path / 'stubs/a/setup.cfg').touch()
    (tmp_path / 'tools/setup.sh').chmod(0o755)
    # Makes an environment whose Python is itself, reads setup.cfg as the real one, and stops at the OpenMMLab packages.
    python = tmp_path / 'python'
    python.write_text(
        '#!/bin/bash\n'
        f'echo "$*" >>{tmp_path}/asked\n'
        f'case "$*" in *venv*) mkdir -p {tmp_path}/.venv/bin; cp "$0" {tmp_path}/.venv/bin/python ;;\n'
        '"- "*) exec python3 "$@" ;; *setup_check*) exit 7 ;; esac\n'
    )
    python.chmod(0o755)

    def setup(**environment):
        (tmp_path / 'asked').write_text('')
        run = subprocess.run(
            [tmp_path / 'tools/setup.sh'],
            env={**os.environ, 'PYTHON': str(python), **environment},
            capture_output=True,
            text=True,
        )
        installs = [
            line for line in (tmp_path / 'asked').read_text().splitlines() if 'pip install' in line and 'torch' in line
        ]
        return run.returncode, run.stderr.strip(), installs

    return setup


def test_setup_takes_the_torch_that_is_named_and_keeps_it(setup):
    # It stops where the check of the card says no, before anything is compiled.
    status, _, installs = setup(TORCH_INDEX='cu126', TORCH='2.7.1')
    named = '-m pip install -qq --index-url https://download.pytorch.org/whl/cu126 torch==2.7.1 torch>=2.4,<2.13 '
    assert status == 7 and installs[0].startswith(named) and 'torchvision' in installs[0]
    assert setup()[2] == installs
    for other in (dict(TORCH_INDEX='cpu'), dict(TORCH_INDEX='cu126'), dict(TORCH='2.7.1')):
        status, words, installs = setup(**other)
        assert status == 2 and words.startswith('setup: .venv holds another torch') and not installs


@pytest.mark.parametrize(
    ('environment', 'asked'),
    [
        (dict(TORCH='torch<2.8'), 'pip install -qq torch<2.8 torch>='),
        (dict(TORCH='>=2.6'), 'pip install -qq torch>=2.6 torch>='),
        (dict(TORCH_INDEX='https://mirror/simple'), 'pip install -qq --index-url https://mirror/simple torch torch>='),
        (dict(), 'pip install -qq --no-build-isolation -e .[torch]'),
    ],
)
def test_ways_to_name_a_torch(setup, environment, asked):
    status, _, installs = setup(**environment)
    assert status == 7 and asked in installs[0]


@pytest.mark.parametrize('environment', [dict(TORCH='newest'), dict(TORCH_INDEX='a b'), dict(TORCH='torchvision')])
def test_names_of_no_torch(setup, environment):
    status, words, installs = setup(**environment)
    assert status == 2 and words.startswith('setup: TORCH') and '\n' not in words and not installs


@pytest.mark.parametrize(('version', 'fits'), [((3, 9, 18), False), ((3, 13, 1), True), ((3, 14, 0), False)])
def test_a_python_that_there_are_no_packages_for(setup, tmp_path, version, fits):
    python = tmp_path / 'other'
    python.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c \'import sys; sys.version_info = {version}; exec(sys.argv[2])\' "$@"\n'
    )
    python.chmod(0o755)
    status, words, _ = setup(PYTHON=str(python))
    refused = words == 'setup: Python 3.10, 3.11, 3.12 or 3.13 is needed; name it as PYTHON=...'
    assert refused != fits and (fits or status == 2)
