import importlib.metadata

import pytest

from mmsoco.doctor import checks
from mmsoco.errors import UserError


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
    names = [wanted.name for wanted in checks.requirements('torch', 'train')]
    assert {'numpy', 'opencv-contrib-python', 'torch', 'torchvision', 'onedl-mmcv', 'safetensors'} <= set(names)
    assert len(set(names)) == len(names) and not {'mmsoco', 'mmcv', 'sphinx', 'pytest'} & set(names)
    assert {'mmcv', 'mmdet', 'torch'} <= {wanted.name for wanted in checks.requirements('torch', 'train-upstream')}
    assert 'opencv-contrib-python' in [wanted.name for wanted in checks.requirements()]
    # As pip takes it.
    assert all(';' not in str(wanted) for wanted in checks.requirements('train'))


def test_what_is_missing_or_of_another_version(installed):
    installed(torch=None, numpy='2.4.0')
    found = faults(checks.packages())
    assert found['torch'].startswith('is needed (torch') and found['torch'].endswith('run: mmsoco doctor --fix')
    assert found['numpy'] == 'is not <2.3; run: mmsoco doctor --fix'


def test_what_keeps_mmpretrain_from_being_imported(installed):
    for version in ('4.57.6', '4.58.0.dev0'):
        installed(transformers=version)
        assert 'transformers' not in faults(checks.packages())
    for version in ('5.0.0', '5.1.0rc1'):
        installed(transformers=version)
        assert 'mmpretrain' in faults(checks.packages())['transformers']


def only(*there):
    """Versions of the OpenMMLab packages: of these one, of others none."""
    names = [name for line in checks.LINES.values() for name in line]
    return {name.replace('-', '_'): '1.0' if name in there else None for name in names}


def test_both_lines_exclude_each_other(installed):
    installed(**only('onedl-mmengine', 'mmengine'))
    assert 'begin a new environment' in checks.line().fault
    installed(**only('mmengine'))
    assert not checks.line().fault and checks.extra() == 'train-upstream'
    # What is left where an installation was interrupted.
    installed(**only('mmcv'))
    assert checks.lines() == ['upstream']
    installed(torch='2.12.0', **only())
    assert checks.line().value == 'none' and checks.extra() == 'train'


def test_an_installation_for_the_search_lacks_nothing(installed, monkeypatch):
    installed(torch=None, torchvision=None, **only())
    monkeypatch.setattr(checks, 'SHARED_MEMORY_LEAST', 0)
    found = list(checks.examine())
    assert not faults(found)
    assert 'search only' in found[2].value and "pip install 'mmsoco[train]'" in found[2].value
    assert {'numpy', 'selective search'} <= {finding.name for finding in found}
    assert not {'torch', 'mmcv operators'} & {finding.name for finding in found}
    installed(torch=None, numpy=None, **only())
    assert faults(checks.packages())['numpy'] == "is needed (numpy<2.3); run: pip install 'numpy<2.3'"


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


def test_a_card_that_is_busy_says_nothing_of_mmcv(monkeypatch, capsys):
    import mmcv.ops
    import torch

    from mmsoco import devices

    def fail_on_the_card(error):
        def call(boxes, scores, threshold):
            if boxes.is_meta:
                raise error

        return call

    # A card that is there and computes nothing.
    tensor, ones = torch.tensor, torch.ones
    as_meta = {'cpu': 'cpu', 'cuda': 'meta'}
    monkeypatch.setattr(torch, 'tensor', lambda values, device: tensor(values, device=as_meta[device]))
    monkeypatch.setattr(torch, 'ones', lambda count, device: ones(count, device=as_meta[device]))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(devices, 'try_device', lambda: UserError('busy'))
    exec(checks._OPERATORS, {})
    monkeypatch.setattr(devices, 'try_device', lambda: None)
    monkeypatch.setattr(mmcv.ops, 'nms', fail_on_the_card(RuntimeError('CUDA out of memory. Tried to allocate')))
    exec(checks._OPERATORS, {})
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 and all(line.startswith('work on cpu; the card was not tried') for line in said)
    monkeypatch.setattr(mmcv.ops, 'nms', fail_on_the_card(RuntimeError('no kernel image is available')))
    with pytest.raises(RuntimeError, match='no kernel image'):
        exec(checks._OPERATORS, {})


def test_little_shared_memory_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, 'SHARED_MEMORY_LEAST', 0)
    assert checks.shared_memory().warning == ''
    monkeypatch.setattr(checks, 'SHARED_MEMORY_LEAST', 2**60)
    assert '--ipc=host' in checks.shared_memory().warning and not checks.shared_memory().fault
    monkeypatch.setattr(checks, 'SHARED_MEMORY', tmp_path / 'gone')
    assert checks.shared_memory() == checks.Finding(str(tmp_path / 'gone'), 'not there')
