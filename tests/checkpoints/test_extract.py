import hashlib
import re
from argparse import Namespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.files import read_checkpoint
from mmsoco.errors import UserError
from mmsoco.registry import MODELS


@pytest.fixture
def model(tiny_model_cfg):
    torch.manual_seed(0)
    return MODELS.build(tiny_model_cfg)


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / 'epoch_3.pth'
    meta = dict(epoch=3, iter=30, dataset_meta=dict(root='/pictures'))
    torch.save({'state_dict': model.state_dict(), 'meta': meta, 'optimizer': {'state': {}}}, path)
    return path


def online(model):
    return {k: v for k, v in model.state_dict().items() if k.startswith(('backbone.', 'neck.', 'roi_head.'))}


def assert_same(taken, model):
    expected = online(model)
    assert set(taken) == set(expected)
    for name, tensor in taken.items():
        assert torch.equal(tensor, expected[name]), name
        assert tensor.is_contiguous()


def test_pth_holds_the_online_detector_parts_and_provenance(checkpoint, model, tmp_path):
    path, table = extract(checkpoint, tmp_path / 'out.pth')
    written = torch.load(path, weights_only=True)
    assert set(written) == {'state_dict', 'meta'}
    assert_same(written['state_dict'], model)
    assert written['meta']['epoch'] == 3 and written['meta']['proposals'] == {'root': '/pictures'}
    assert hashlib.sha256(path.read_bytes()).hexdigest() in table
    assert re.search(r'^backbone +\d+ +[\d,]+ +taken$', table, re.MULTILINE)
    assert re.search(r'^target +\d+ +[\d,]+ +left: only for pretraining$', table, re.MULTILINE)


def test_safetensors(checkpoint, model, tmp_path):
    path, _ = extract(checkpoint, tmp_path / 'out.safetensors')
    assert_same(load_file(path), model)
    with safe_open(path, 'pt') as file:
        assert file.metadata()['epoch'] == '3'


def test_hash_in_the_name(checkpoint, tmp_path):
    path, _ = extract(checkpoint, tmp_path / 'out.pth', with_hash=True)
    assert path.name == f'out-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth'
    assert not (tmp_path / 'out.pth').exists()


def test_extract_of_an_extract_is_the_same(checkpoint, model, tmp_path):
    first, _ = extract(checkpoint, tmp_path / 'first.pth')
    second, _ = extract(first, tmp_path / 'second.pth')
    assert_same(torch.load(second, weights_only=True)['state_dict'], model)


@pytest.mark.parametrize(
    'out, target, message',
    [('out.pth', 'keras', "target 'keras' is unknown; choose one of mmdet"), ('out.h5', 'mmdet', 'should end in .pth')],
)
def test_unknown_target_or_ending(checkpoint, tmp_path, out, target, message):
    with pytest.raises(UserError, match=message):
        extract(checkpoint, tmp_path / out, target)
    assert [p.name for p in tmp_path.iterdir()] == ['epoch_3.pth']


def test_what_is_no_pretraining_is_refused(tmp_path):
    files = {
        'detector.pth': {'state_dict': {'backbone.w': torch.ones(1), 'rpn_head.w': torch.ones(1)}},
        'bare.pth': {'weight': torch.ones(1)},
        'list.pth': [torch.ones(1)],
        'code.pth': {'state_dict': {}, 'opt': Namespace(lr=1)},
    }
    for name, content in files.items():
        torch.save(content, tmp_path / name)
    (tmp_path / 'text.pth').write_text('no checkpoint')
    # Bytes at which pickle's reader raises KeyError and IndexError.
    (tmp_path / 'page.pth').write_text('html\n')
    (tmp_path / 'zeros.pth').write_bytes(b'r\0\0\0\0.')
    whole = (tmp_path / 'detector.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    messages = {
        'detector.pth': 'not a checkpoint of a SoCo pretraining',
        'bare.pth': 'holds no state_dict',
        'list.pth': 'holds a list',
        'code.pth': 'no checkpoint of tensors and plain values',
        'text.pth': 'no checkpoint of tensors and plain values',
        'page.pth': 'no checkpoint of tensors and plain values',
        'zeros.pth': 'no checkpoint of tensors and plain values',
        'cut.pth': 'no checkpoint of tensors and plain values',
        'missing.pth': 'does not exist',
    }
    for name, message in messages.items():
        with pytest.raises(UserError, match=message) as caught:
            extract(tmp_path / name, tmp_path / 'out.pth')
        assert '\n' not in str(caught.value)
        assert not (tmp_path / 'out.pth').exists()


def test_reading_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    torch.save({'state_dict': Evil()}, tmp_path / 'evil.pth')
    with pytest.raises(UserError):
        read_checkpoint(tmp_path / 'evil.pth')
    assert not (tmp_path / 'ran').exists()
