"""Promise 1: nothing that is in a file of weights is run, whoever reads it."""

import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict

import mmengine
import numpy as np
import pytest
import torch
from hostile import archive, pickled, write_code
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from scripts import load_script

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.files import read_checkpoint
from mmsoco.checkpoints.guard import guard_loading
from mmsoco.checkpoints.official import convert
from mmsoco.engine.hooks.transfer import TransferHook
from mmsoco.engine.launch import test as evaluate
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.probe.run import probe

REFUSED = 'could run code; if you trust who wrote it: --trust-checkpoint'


@pytest.fixture
def marker(tmp_path):
    """What must not be there."""
    marker = tmp_path / 'ran'
    yield marker
    assert not marker.exists()


@pytest.fixture
def evil(tmp_path, marker):
    return str(write_code(tmp_path / 'evil.pth', marker))


@pytest.mark.parametrize('kind', ['zip', 'legacy', *map(str, range(6))])
def test_each_format(tmp_path, marker, kind):
    path = write_code(tmp_path / 'evil.pth', marker, kind)
    # Protocol 0 begins like a text.
    words = REFUSED if kind not in ('0', '1') else 'evil.pth is no checkpoint'
    with pytest.raises(UserError, match=words) as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value)
    assert kind in ('0', '1') or 'io.open, which could run code' in str(caught.value)


@pytest.mark.parametrize('way', ['load_from', 'resume', 'auto', 'init_cfg', 'scheme'])
def test_training(recipe, tiny_options, tmp_path, evil, marker, way):
    resume = {'resume': evil, 'auto': 'auto'}.get(way)
    if way == 'load_from':
        tiny_options['load_from'] = evil
    if way == 'scheme':
        (tmp_path / 'x:').mkdir()
        write_code(tmp_path / 'x:/evil.pth', marker)
        tiny_options['load_from'] = f'{tmp_path}/x://evil.pth'
    if way == 'init_cfg':
        tiny_options['model.backbone.init_cfg'] = dict(_delete_=True, type='Pretrained', checkpoint=evil)
    if way == 'auto':
        (tmp_path / 'last_checkpoint').write_text('evil.pth')
    with pytest.raises(UserError, match=REFUSED):
        train(recipe, str(tmp_path), resume=resume, amp=False, options=tiny_options)


def test_testing_probing_extracting_and_converting(root, recipe, tmp_path, evil, marker):
    config = root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'
    for read in (
        lambda: evaluate(config, evil, work_dir=str(tmp_path / 'out')),
        lambda: probe(evil, recipe),
        lambda: extract(evil, tmp_path / 'out.pth'),
        lambda: convert(evil, tmp_path / 'out.pth'),
        lambda: convert(evil, tmp_path / 'out.pth', reverse=True),
    ):
        with pytest.raises(UserError, match=REFUSED):
            read()
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize(
    'name',
    [
        '{folder}/evil.pth',
        'file://{folder}/evil.pth',
        '~/evil.pth',
        'x://evil.pth',
        'https://example.org/evil.pth',
        'torchvision://resnet18',
        'open-mmlab://resnet50_caffe',
        'mmcls://resnet50_v1d',
        's3://bucket/evil.pth',
    ],
)
def test_each_scheme_of_mmengine(tmp_path, evil, marker, monkeypatch, name):
    """What is fetched, too; by mmengine's own loaders, as mmdet and mmpretrain call them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'x:').mkdir()
    write_code('x:/evil.pth', marker)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, to, *_, **__: write_code(to, marker))
    backend = type('Backend', (), {'get': lambda self, _: (tmp_path / 'evil.pth').read_bytes()})
    monkeypatch.setattr('mmengine.runner.checkpoint.get_file_backend', lambda *_, **__: backend())
    guard_loading()
    with pytest.raises(UserError, match=REFUSED):
        CheckpointLoader.load_checkpoint(name.format(folder=tmp_path))


def test_each_scope_and_what_reads_without_mmengine(tmp_path, evil, marker, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    TransferHook()  # as a run by mmdet's own tools has it

    backbone = dict(depth=18, init_cfg=dict(type='Pretrained', checkpoint=evil))
    for kind in ('mmdet.ResNet', 'mmpretrain.ResNet'):
        with pytest.raises(UserError, match=REFUSED):
            MODELS.build(dict(type=kind, **backbone)).init_weights()
    for read in (torch.load, torch.serialization.load):
        with pytest.raises(UserError, match=REFUSED):
            read(evil, weights_only=False)
        with open(evil, 'rb') as file, pytest.raises(UserError, match=REFUSED):
            read(file)


def test_a_process_that_is_started_obeys(evil, marker):
    """Without the guard itself, by torch's own switch."""
    guard_loading()
    program = f'import torch; torch.load({evil!r}, weights_only=False)'
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode and 'Weights only load failed' in done.stderr


def test_pickles_of_data_sets(tmp_path, marker):
    guard_loading()
    write_code(tmp_path / 'evil.pkl', marker, kind='2')
    with pytest.raises(UserError, match=r'a pickle of data holds io\.open, which could run code'):
        mmengine.load(tmp_path / 'evil.pkl')
    boxes = {'a.jpg': {'bboxes': np.ones((2, 4), np.float32), 'scores': torch.ones(2)}}
    mmengine.dump(boxes, tmp_path / 'boxes.pkl')
    read = mmengine.load(tmp_path / 'boxes.pkl')['a.jpg']
    assert (read['bboxes'] == 1).all() and (read['scores'] == 1).all()
    for protocol in range(6):
        arrays = {'a': np.arange(6, dtype='>i4').reshape(2, 3, order='F'), 'b': [np.float64(2.5), {1}, b'x'], 'c': 'ä'}
        arrays['same'] = arrays['a']
        with (tmp_path / 'arrays.pkl').open('wb') as file:
            pickle.dump(arrays, file, protocol)
        found = mmengine.load(tmp_path / 'arrays.pkl')
        assert np.array_equal(found['a'], arrays['a']) and found['same'] is found['a']
        assert found['b'] == arrays['b'] and found['c'] == 'ä'


class Reduced:
    """What a pickle can ask for without saying it is an object."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    'forged',
    [
        # An array of objects that says it is none: its bytes would be taken for addresses.
        Reduced(np.dtype, ('O8', False, True), (3, '|', None, None, None, -1, -1, 0)),
        Reduced(np.ndarray, ((10**12,), 'u1')),
        Reduced(np.dtype, ('V8', False, True)),
    ],
)
def test_forged_arrays_in_pickles_of_data_sets(tmp_path, forged):
    guard_loading()
    (tmp_path / 'forged.pkl').write_bytes(pickle.dumps(forged, 2))
    with pytest.raises(UserError, match='a pickle of data'):
        mmengine.load(tmp_path / 'forged.pkl')


def test_files_that_cannot_be_fetched_end_in_one_line(monkeypatch):
    def refuse(*_, **__):
        raise OSError('no network\nat all')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', refuse)
    guard_loading()
    for name in ('https://example.org/not_there.pth', 'torchvision://no_such_model'):
        with pytest.raises(UserError, match='cannot be fetched') as caught:
            CheckpointLoader.load_checkpoint(name)
        assert '\n' not in str(caught.value)


def test_mmengines_own_checkpoints_load_without_trust(tmp_path):
    """With the history of its log and numpy's numbers, as numpy 1 and numpy 2 write them."""
    log = HistoryBuffer()
    log.update(1.5, 2)
    values = {'best': np.float64(3.0), 'epoch': np.int64(2), 'flag': np.bool_(True), 'many': np.arange(3.0)}
    hub = {'log_scalars': OrderedDict(loss=log), 'runtime_info': values}
    torch.save({'state_dict': torch.nn.BatchNorm2d(2).state_dict(), 'message_hub': hub}, tmp_path / 'new.pth')
    with zipfile.ZipFile(tmp_path / 'new.pth') as new, zipfile.ZipFile(tmp_path / 'old.pth', 'w') as old:
        names = (b'numpy._core.', b'numpy.core.')
        for entry in new.infolist():
            old.writestr(entry.filename, new.read(entry).replace(*(names if np.__version__ >= '2' else names[::-1])))
    torch.save({'message_hub': hub}, tmp_path / 'legacy.pth', _use_new_zipfile_serialization=False)
    for name in ('new', 'old', 'legacy'):
        read = read_checkpoint(tmp_path / f'{name}.pth')['message_hub']
        loss = read['log_scalars']['loss']
        assert type(loss) is HistoryBuffer and loss.mean() == 0.75 and loss.statistics('max', 1) == 1.5
        assert read['runtime_info']['best'] == 3 and read['runtime_info']['many'].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    'instructions, refused',
    [
        (b'c__builtin__\ngetattr\n(c__builtin__\ngetattr\nX\x08\0\0\0__self__tR', 'getattr'),
        (b'c__builtin__\neval\n(X\x03\0\0\01+1tR', 'builtins.eval'),
        (b'cmmengine.logging.history_buffer\nHistoryBuffer\n(tR', 'HistoryBuffer'),
        (b'c_codecs\nencode\n(X\x01\0\0\0aX\x04\0\0\0idnatR', 'bytes in idna'),
        (b'cnumpy\ndtype\n(X\x02\0\0\0O8\x89\x88tR', 'numpy.dtype'),
        (b'cnumpy\ndtype\n(X\x02\0\0\0f8\x89\x88tR(K\x03X\x01\0\0\0<NNNK\x08K\x08K?tb', 'a garbled dtype'),
        (b'ccollections\nOrderedDict\n)R}X\x04\0\0\0keysK\x01sb', 'attributes of an OrderedDict'),
    ],
)
def test_what_is_allowed_opens_no_way_to_more(tmp_path, instructions, refused):
    (tmp_path / 'x.pth').write_bytes(archive(pickled(instructions)))
    with pytest.raises(UserError, match=refused):
        read_checkpoint(tmp_path / 'x.pth')


def test_trust_allows_the_named_file_alone(tmp_path):
    first, second = (write_code(tmp_path / f'{name}.pth', tmp_path / f'{name} ran') for name in ('first', 'second'))
    guard_loading(str(first), trust=True)
    CheckpointLoader.load_checkpoint(str(first))
    assert (tmp_path / 'first ran').exists()
    with pytest.raises(UserError, match=REFUSED):
        torch.load(second)
    guard_loading(str(write_code(tmp_path / 'third.pth', tmp_path / 'third ran')), trust=True)
    with pytest.raises(UserError, match=REFUSED):
        torch.load(first)
    data = first.read_bytes()
    first.write_bytes(data[:-50])
    with pytest.raises(UserError, match='is cut short'):
        guard_loading(str(first), trust=True)


@pytest.mark.slow
def test_the_commands(root, recipe, tmp_path, evil, marker, monkeypatch, capsys):
    config = str(root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py')
    for script, arguments in (
        (
            'tools/train.py',
            [config, '--auto-scale-lr', '--work-dir', str(tmp_path / 'out'), '--cfg-options', f'load_from={evil}'],
        ),
        ('tools/train.py', [config, '--auto-scale-lr', '--work-dir', str(tmp_path / 'out'), '--resume', evil]),
        ('tools/test.py', [config, evil, '--work-dir', str(tmp_path / 'out')]),
        ('tools/probe.py', [evil, '--config', recipe]),
        ('tools/extract_backbone.py', [evil, str(tmp_path / 'out.pth')]),
        ('tools/model_converters/soco_official.py', [evil, str(tmp_path / 'out.pth')]),
    ):
        monkeypatch.setattr(sys, 'argv', [script, *arguments])
        with pytest.raises(SystemExit) as stop:
            load_script(script).main()
        assert stop.value.code == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith('error: ') and error.endswith(REFUSED)
