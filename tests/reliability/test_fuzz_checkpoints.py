"""Whatever bytes a file of weights has: it is read, or refused in one line, in bounded memory."""

import io
import os
import pickle
import pickletools
import tracemalloc

import pytest
import torch
from hostile import archive
from safetensors.torch import save_file

from mmsoco.checkpoints.files import check_whole, read_checkpoint, read_safetensors, save
from mmsoco.checkpoints.seal import PLACE, seal_safetensors
from mmsoco.errors import UserError

hypothesis = pytest.importorskip('hypothesis')
given, st = hypothesis.given, hypothesis.strategies

FACTOR = int(os.environ.get('MMSOCO_FUZZ', '1'))
fuzz = hypothesis.settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60 * FACTOR,
    suppress_health_check=list(hypothesis.HealthCheck),
)
CONTENT = {
    'state_dict': {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(2, dtype=torch.bfloat16)},
    'meta': {'epoch': 3, 'name': 'x', 'rate': 0.1, 'flags': [True, None], 'shape': (1, 2)},
}


def made(kind):
    buffer = io.BytesIO()
    torch.save(CONTENT, buffer, _use_new_zipfile_serialization=kind == 'zip')
    return buffer.getvalue()


ZIP, LEGACY = made('zip'), made('legacy')
PICKLE = pickle.dumps({'a': [1, 2.0, 'x', (None, True)], 3: {'b': {}}}, 2)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('fuzz')


def changed(data):
    """Bytes of a file with some of them exchanged, taken out or put in, or its end cut off."""
    places = st.integers(0, len(data))
    exchange = st.tuples(places, st.none(), st.binary(min_size=1, max_size=4))
    edit = st.tuples(places, st.integers(0, 4), st.binary(max_size=4))
    edits = st.lists(exchange, min_size=1, max_size=3) | st.lists(edit | exchange, max_size=4)

    def apply(edits, end):
        result = data
        for place, drop, put in edits:
            result = result[:place] + put + result[place + (len(put) if drop is None else drop) :]
        return result[:end]

    return st.builds(apply, edits, st.just(len(data) + 16) | places)


def reads(read, path, data):
    """What is read, or None where it is refused."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        return read(path)
    except UserError as error:
        assert '\n' not in str(error) and len(str(error)) < 600
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**24 + 100 * len(data), f'{peak:,} bytes for {len(data):,}'


@fuzz
@given(st.data(), st.sampled_from(['zip', 'legacy', 'text']))
def test_any_bytes(folder, data, kind):
    beginning = {'zip': b'PK\x03\x04', 'legacy': b'\x80\x02', 'text': b''}[kind]
    assert reads(read_checkpoint, folder / 'x.pth', beginning + data.draw(st.binary(max_size=300))) is None


@fuzz
@given(changed(ZIP))
def test_changed_archives(folder, data):
    reads(read_checkpoint, folder / 'x.pth', data)


@fuzz
@given(changed(LEGACY))
def test_changed_files_of_the_former_format(folder, data):
    reads(read_checkpoint, folder / 'x.pth', data)


@fuzz
@given(changed(PICKLE) | changed(LEGACY[:700]))
def test_changed_pickles_in_whole_archives(folder, data):
    """Whose CRCs fit."""
    reads(read_checkpoint, folder / 'x.pth', archive(data, [bytes(24), bytes(4)]))


CODES = [op.code.encode('latin1') for op in pickletools.opcodes]
WORDS = [
    b'ctorch._utils\n_rebuild_tensor_v2\n',
    b'ctorch\nFloatStorage\n',
    b'X\x07\0\0\0storage',
    b'ccollections\nOrderedDict\n',
    b')R',
    b'cnumpy\ndtype\n',
    b'cnumpy._core.multiarray\n_reconstruct\n',
    b'c_codecs\nencode\n',
    b'X\x02\0\0\0f8',
    b'(K\x01K\x02t',
]


@fuzz
@given(st.lists(st.sampled_from(CODES + WORDS) | st.binary(max_size=3), max_size=40))
def test_any_instructions(folder, instructions):
    reads(read_checkpoint, folder / 'x.pth', archive(b'\x80\x02' + b''.join(instructions) + b'.', [bytes(24)]))


@fuzz
@given(st.data())
def test_a_sealed_file_is_never_read_changed(folder, data):
    save(CONTENT, folder / 'whole.pth')
    whole = (folder / 'whole.pth').read_bytes()
    other = data.draw(changed(whole))
    if other != whole:
        assert reads(read_checkpoint, folder / 'x.pth', other) is None
        assert reads(check_whole, folder / 'x.pth', other) is None


@fuzz
@given(st.data())
def test_sealed_safetensors_are_never_read_changed(folder, data):
    path = folder / 'whole.safetensors'
    save_file(CONTENT['state_dict'], path, metadata={'mmsoco': '1'} | PLACE)
    seal_safetensors(path)
    whole = path.read_bytes()
    assert set(read_safetensors(path)) == {'a', 'b'}
    other = data.draw(changed(whole))
    if other != whole:
        assert reads(read_safetensors, folder / 'x.safetensors', other) is None


@fuzz
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_safetensors(folder, data, size):
    assert not reads(read_safetensors, folder / 'x.safetensors', size.to_bytes(8, 'little') + data)
    assert not reads(read_safetensors, folder / 'x.safetensors', len(data).to_bytes(8, 'little') + data)
