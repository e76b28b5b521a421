import hashlib
import json
import pickle
import re
import runpy
import sys
from argparse import Namespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import mmsoco
from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.files import read_checkpoint
from mmsoco.checkpoints.tools import TOOLS
from mmsoco.errors import UserError
from mmsoco.registry import MODELS


@pytest.fixture
def model(tiny_model_cfg):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg)
    # As after some steps: the moving average lags behind.
    for tensor in model.target.state_dict().values():
        tensor.add_(1)
    return model


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / 'epoch_3.pth'
    meta = dict(
        epoch=3,
        iter=30,
        cfg="model = dict(type='SoCoAlgorithm')",
        experiment_name='soco_tiny_20261123_223004',
        dataset_meta=dict(root='/images'),
    )
    torch.save({'state_dict': model.state_dict(), 'meta': meta, 'optimizer': {'state': {}}}, path)
    return path


def detector_parts(network):
    return {k: v for k, v in network.state_dict().items() if k.startswith(('backbone.', 'neck.', 'roi_head.'))}


def assert_same(taken, network):
    expected = detector_parts(network)
    assert set(taken) == set(expected)
    for name, tensor in taken.items():
        assert torch.equal(tensor, expected[name]), name
        assert tensor.is_contiguous()


def test_pth_holds_the_online_detector_parts_and_provenance(checkpoint, model, tmp_path):
    path, table = extract(checkpoint, tmp_path / 'out.pth')
    written = torch.load(path, weights_only=True)
    assert set(written) == {'state_dict', 'meta'}
    assert_same(written['state_dict'], model)
    assert written['meta'] == {
        'mmsoco': mmsoco.__version__,
        'target': 'mmdet',
        'which': 'online',
        'config': 'soco_tiny_20261123_223004',
        'epoch': 3,
        'iter': 30,
        'proposals': {'root': '/images'},
    }
    assert hashlib.sha256(path.read_bytes()).hexdigest() in table
    assert re.search(r'^backbone +\d+ +[\d,]+ +taken$', table, re.MULTILINE)
    assert re.search(r'^target +\d+ +[\d,]+ +left: only for pretraining$', table, re.MULTILINE)


def test_safetensors(checkpoint, model, tmp_path):
    path, _ = extract(checkpoint, tmp_path / 'out.safetensors')
    assert_same(load_file(path), model)
    with safe_open(path, 'pt') as file:
        metadata = file.metadata()
    assert metadata['epoch'] == '3' and metadata['config'] == 'soco_tiny_20261123_223004'
    assert json.loads(metadata['proposals']) == {'root': '/images'}


def test_the_moving_average(checkpoint, model, tmp_path):
    path, table = extract(checkpoint, tmp_path / 'out.pth', which='target')
    written = torch.load(path, weights_only=True)
    assert_same(written['state_dict'], model.target)
    assert written['meta']['which'] == 'target'
    rows = [re.split(r'  +', line) for line in table.splitlines()[1:-1]]
    assert [(part, note) for part, _, _, note in rows] == [
        ('target.backbone', 'taken'),
        ('target.neck', 'taken'),
        ('target.roi_head.bbox_head.shared_convs', 'taken'),
        ('target.roi_head.bbox_head.shared_fcs', 'taken'),
        ('backbone', 'left: of the online network'),
        ('neck', 'left: of the online network'),
        ('roi_head.bbox_head.shared_convs', 'left: of the online network'),
        ('roi_head.bbox_head.shared_fcs', 'left: of the online network'),
        ('projector', 'left: only for pretraining'),
        ('predictor', 'left: only for pretraining'),
        ('target', 'left: only for pretraining'),
    ]
    again, _ = extract(path, tmp_path / 'again.pth')
    assert torch.load(again, weights_only=True)['meta'] == written['meta']
    with pytest.raises(UserError, match='holds no target network; give a checkpoint of the pretraining itself'):
        extract(path, tmp_path / 'x.pth', which='target')
    assert not (tmp_path / 'x.pth').exists()


@pytest.mark.parametrize('network', ['online', 'target'])
@pytest.mark.parametrize('tool', TOOLS)
def test_the_table_counts_every_tensor_once(checkpoint, model, tmp_path, tool, network):
    out = tmp_path / ('out.pkl' if tool == 'detectron2' else 'out.pth')
    if tool == 'mmdet-c4':
        with pytest.raises(UserError, match=r"epoch_3\.pth does not fit tool 'mmdet-c4': it needs a C4 pretraining"):
            extract(checkpoint, out, tool, network=network)
        assert [p.name for p in tmp_path.iterdir()] == ['epoch_3.pth']
        return
    _, table = extract(checkpoint, out, tool, network=network)
    rows = [re.split(r'  +', line) for line in table.splitlines()[1:-1]]
    state_dict = model.state_dict()
    assert sum(int(row[1]) for row in rows) == len(state_dict)
    assert sum(int(row[2].replace(',', '')) for row in rows) == sum(t.numel() for t in state_dict.values())
    assert all(re.fullmatch(r'taken( as .+\*| without prefix)?|left: .+', row[3]) for row in rows)


def test_the_table_says_where_to(checkpoint, tmp_path):
    _, table = extract(checkpoint, tmp_path / 'out.pkl', 'detectron2')
    for part, place in (
        ('backbone', 'backbone.bottom_up.*'),
        ('neck', 'backbone.fpn_*'),
        ('roi_head.bbox_head.shared_convs', 'roi_heads.box_head.conv*'),
    ):
        assert re.search(rf'^{re.escape(part)} +\d+ +[\d,]+ +taken as {re.escape(place)}$', table, re.MULTILINE)


def test_the_same_checkpoint_gives_the_same_file(checkpoint, tmp_path):
    for ending, target in (('.pth', 'mmdet'), ('.pkl', 'detectron2')):
        digests = {extract(checkpoint, tmp_path / f'{i}{ending}', target)[1].split()[-1] for i in range(2)}
        assert len(digests) == 1


def test_the_file_that_it_reads_stays(checkpoint, tmp_path):
    (tmp_path / 'link.pth').symlink_to(checkpoint)
    before = checkpoint.read_bytes()
    for out in (checkpoint, tmp_path / 'link.pth'):
        with pytest.raises(UserError, match='is the checkpoint to read'):
            extract(checkpoint, out)
    assert checkpoint.read_bytes() == before


def test_what_other_names_hide_is_not_extracted_again(checkpoint, tmp_path):
    """Shifted once more, P3 would be lost and the rest wrong."""
    shifted, _ = extract(checkpoint, tmp_path / 'p3.pth', 'mmdet-p3')
    for target in ('mmdet', 'mmdet-p3'):
        with pytest.raises(UserError, match=r"p3\.pth was extracted for tool 'mmdet-p3' already"):
            extract(shifted, tmp_path / 'out.pth', target)
    assert not (tmp_path / 'out.pth').exists()


def test_hash_in_the_name(checkpoint, tmp_path):
    path, _ = extract(checkpoint, tmp_path / 'out.pth', with_hash=True)
    assert path.name == f'out-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth'
    assert not (tmp_path / 'out.pth').exists()


def test_extract_of_an_extract_is_the_same(checkpoint, model, tmp_path):
    for ending in ('pth', 'safetensors'):
        first, _ = extract(checkpoint, tmp_path / f'first.{ending}')
        second, _ = extract(first, tmp_path / f'second_of_{ending}.pth')
        content = torch.load(second, weights_only=True)
        assert_same(content['state_dict'], model)
        assert content['meta']['epoch'] == 3 and content['meta']['target'] == 'mmdet'


@pytest.mark.parametrize(
    'out, target, message',
    [
        ('out.pth', 'keras', "tool 'keras' is unknown; choose one of mmdet, mmdet-c4, mmdet-p3, backbone"),
        ('out.pth', 'torchvision-fpn-v1', "tool 'torchvision-fpn-v1' cannot be: .*biases and no norm"),
        ('out.h5', 'mmdet', r"should end in \.pth or \.safetensors for tool 'mmdet'"),
        ('out.pkl', 'timm', r"should end in \.pth or \.safetensors for tool 'timm'"),
        ('out.pth', 'detectron2', r"should end in \.pkl for tool 'detectron2'"),
    ],
)
def test_unknown_target_or_ending(checkpoint, tmp_path, out, target, message):
    with pytest.raises(UserError, match=message):
        extract(checkpoint, tmp_path / out, target)
    assert [p.name for p in tmp_path.iterdir()] == ['epoch_3.pth']


def test_unknown_network(checkpoint, tmp_path):
    with pytest.raises(UserError, match="network 'both' is unknown; choose online or target"):
        extract(checkpoint, tmp_path / 'out.pth', which='both')


def test_what_is_no_pretraining_is_refused(tmp_path):
    files = {
        'detector.pth': {'state_dict': {'backbone.w': torch.ones(1), 'rpn_head.w': torch.ones(1)}},
        'bare.pth': {'weight': torch.ones(1)},
        'numbers.pth': {'state_dict': {'backbone.w': 1}},
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
        'bare.pth': 'not a checkpoint of a SoCo pretraining',
        'numbers.pth': 'holds no state_dict',
        'list.pth': 'holds a list',
        'code.pth': 'no checkpoint of tensors and plain values',
        'text.pth': 'no checkpoint of tensors and plain values',
        'page.pth': 'no checkpoint of tensors and plain values',
        'zeros.pth': 'no checkpoint of tensors and plain values',
        'cut.pth': 'cut.pth is cut short; copy it again',
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


def test_the_command(root, checkpoint, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / 'out.pkl')
    arguments = [str(checkpoint), out, '--target', 'detectron2', '--which', 'target']
    monkeypatch.setattr(sys, 'argv', ['extract_backbone.py', *arguments])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(root / 'tools/extract_backbone.py'), run_name='__main__')
    printed = capsys.readouterr().out
    assert not stop.value.code and printed.endswith(f'written to {out}\n')
    assert re.search(r'^target\.neck .*taken as backbone\.fpn_\*$', printed, re.MULTILINE)


def test_the_command_tells_its_tools(root, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['extract_backbone.py', '--help'])
    with pytest.raises(SystemExit):
        runpy.run_path(str(root / 'tools/extract_backbone.py'), run_name='__main__')
    printed = capsys.readouterr().out
    for tool in TOOLS:
        assert re.search(rf'^  {tool}  +\S', printed, re.MULTILINE)


def test_a_folder_is_not_written_over(checkpoint, tmp_path):
    (tmp_path / 'folder.pth').mkdir()
    with pytest.raises(UserError, match='is a folder; name a file in it'):
        extract(checkpoint, tmp_path / 'folder.pth')


def test_bfloat16_for_detectron2(checkpoint, tmp_path):
    """numpy has no such numbers; each is one of float32."""
    content = torch.load(checkpoint, weights_only=True)
    state = {n: t.bfloat16() if t.is_floating_point() else t for n, t in content['state_dict'].items()}
    torch.save({**content, 'state_dict': state}, tmp_path / 'half.pth')
    path, _ = extract(tmp_path / 'half.pth', tmp_path / 'd2.pkl', 'detectron2')
    content = pickle.loads(path.read_bytes())['model']
    assert {str(array.dtype) for array in content.values()} <= {'float32', 'int64'}
