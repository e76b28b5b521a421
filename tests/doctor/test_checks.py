import importlib.metadata

import pytest

from mmsoco.doctor import checks


def faults(findings):
    return {finding.name: finding.fault for finding in findings if finding.fault}


@pytest.fixture
def installed(monkeypatch):
    """Says which distributions there are, by a dict; what is not in it is as it is."""

    def says(**versions):
        real = importlib.metadata.version

        def version(name):
            found = versions.get(name.replace('-', '_'), real)
            if found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return real(name) if found is real else found

        monkeypatch.setattr(importlib.metadata, 'version', version)

    return says


def test_requirements_are_those_of_training():
    names = [wanted.name for wanted in checks.requirements('train')]
    assert {'numpy', 'opencv-contrib-python', 'torch', 'torchvision', 'onedl-mmcv', 'safetensors'} <= set(names)
    assert len(set(names)) == len(names) and not {'mmsoco', 'mmcv', 'sphinx', 'pytest'} & set(names)
    assert {'mmcv', 'mmdet', 'torch'} <= {wanted.name for wanted in checks.requirements('train-upstream')}
    # As pip takes it.
    assert all(';' not in str(wanted) for wanted in checks.requirements('train'))


def test_what_is_missing_or_of_another_version(installed):
    installed(torch=None, numpy='2.4.0')
    found = faults(checks.packages())
    assert found['torch'].startswith('is needed (torch') and found['torch'].endswith('run: mmsoco doctor --fix')
    assert found['numpy'] == 'is not <2.3; run: mmsoco doctor --fix'


def test_both_lines_exclude_each_other(installed):
    installed(onedl_mmengine='0.10.12', mmengine='0.10.7')
    assert 'begin a new environment' in faults(checks.line())['OpenMMLab line']
    installed(onedl_mmengine=None, mmengine='0.10.7')
    assert not faults(checks.line()) and checks.extra() == 'train-upstream'
    installed(onedl_mmengine=None, mmengine=None)
    assert next(checks.line()).value == 'none' and checks.extra() == 'train'


@pytest.mark.parametrize(
    ('program', 'words'),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", 'apt-get install libgl1 libglib2.0-0'),
        (
            "raise AttributeError('no selective search')",
            'AttributeError: no selective search; run: mmsoco doctor --fix',
        ),
        ('import os; os.kill(os.getpid(), 11)', 'killed by signal 11; run: mmsoco doctor --fix'),
    ],
)
def test_what_does_not_work_says_why_and_what_to_do(monkeypatch, program, words):
    monkeypatch.setattr(checks, '_SEARCH', program)
    assert words in checks.selective_search().fault
    monkeypatch.setattr(checks, '_OPERATORS', program)
    assert checks.operators().fault.endswith('pip builds mmcv without them; run: mmsoco doctor --fix')


def test_the_search_is_really_called():
    assert checks.selective_search().value.startswith('works, by OpenCV 4')


def test_little_shared_memory(monkeypatch, tmp_path):
    assert not checks.shared_memory().fault
    monkeypatch.setattr(checks, 'SHARED_MEMORY_LEAST', 2**60)
    assert '--ipc=host' in checks.shared_memory().fault
    monkeypatch.setattr(checks, 'SHARED_MEMORY', tmp_path / 'gone')
    assert not checks.shared_memory().fault
