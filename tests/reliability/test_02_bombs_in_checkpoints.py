"""Promise 2: what takes more memory than its file holds is refused before it is taken."""

import io
import pickle
import sys
import zipfile

import pytest
import torch
from hostile import archive, call, number, pickled, tensor

from mmsoco.checkpoints.files import check_whole, read_checkpoint
from mmsoco.errors import UserError

if sys.platform == 'win32':
    pytest.skip('limits on memory are those of Unix', allow_module_level=True)
import resource

GIB = 2**30
FLOATS = bytes(64)


@pytest.fixture(autouse=True)
def _bounded():
    """One more GiB is an error."""
    with open('/proc/self/statm') as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def shared(times):
    """Instructions for containers of few bytes and 2**times parts."""
    made = b')q\x00'
    for place in range(times):
        made += b'h' + bytes([place]) + b'h' + bytes([place]) + b'\x86q' + bytes([place + 1])
    # What lies below is left on the stack; of it all the last alone is taken.
    return b'(' + made + b't'


BOMBS = {
    'a bytearray': (archive(pickled(call('__builtin__ bytearray', number(10**10)))), 'bytearray'),
    'a storage without a file': (archive(pickled(call('torch FloatStorage', number(10**10)))), r'torch\.FloatStorage'),
    'a storage that is called': (
        archive(pickled(call('torch.storage UntypedStorage', number(10**10)))),
        r'torch\.storage\.UntypedStorage',
    ),
    'a storage larger than its entry': (
        archive(pickled(tensor(10**10, [16], [1])), [FLOATS]),
        'storage 0 should have 40,000,000,000 bytes and has 64',
    ),
    'a tensor larger than its storage': (archive(pickled(tensor(16, [10**10], [1])), [FLOATS]), 'outside of its'),
    'a tensor that begins behind it': (archive(pickled(tensor(16, [16], [1], 10**10)), [FLOATS]), 'outside of its'),
    'negative strides': (archive(pickled(tensor(16, [16], [-1])), [FLOATS]), 'garbled tensor'),
    'an expanded tensor': (archive(pickled(tensor(16, [10**10], [0])), [FLOATS]), 'tensors of 40,000,000,000 bytes'),
    'a size beyond all numbers': (archive(pickled(tensor(16, [2**70], [0])), [FLOATS]), 'garbled tensor'),
    'a meta tensor': (
        archive(pickled(call('torch._utils _rebuild_meta_tensor_no_storage', b'ctorch\nfloat32\n', number((10**12,))))),
        '_rebuild_meta_tensor_no_storage',
    ),
    'a sparse tensor': (archive(pickled(call('torch._utils _rebuild_sparse_tensor', b')', b')'))), '_rebuild_sparse'),
    'a parameter made of sizes': (
        archive(pickled(call('torch.nn.parameter Parameter', number(10**10)))),
        r'torch\.nn\.parameter\.Parameter',
    ),
    'an array': (
        archive(
            pickled(call('numpy.core.multiarray _reconstruct', b'cnumpy\nndarray\n', number((10**10,)), number('b')))
        ),
        'garbled array',
    ),
    'compressed entries': (
        archive(pickled(tensor(2**28, [2**28], [1])), [bytes(2**20)], zipfile.ZIP_DEFLATED),
        'compressed entries',
    ),
    'shared containers': (archive(pickled(shared(60))), 'the same containers again and again'),
    'containers without end': (archive(pickled(b']' + b'\x85' * 100_000)), 'containers in containers'),
    'a list in itself': (archive(pickled(b']q\x00h\x00a')), 'holds itself'),
    'a key of shared containers': (archive(b'\x80\x02}' + shared(60) + b'K\x01s.'), 'a key that is no plain value'),
    'a string longer than the file': (archive(pickled(b'X\xff\xff\xff\x7fa')), 'breaks off'),
    'a string longer than a file of the former format': (b'\x80\x02X\xff\xff\xff\x7fa', 'breaks off'),
    'a pickle of protocol 5': (pickle.dumps(bytearray(10), 5), 'it holds'),
}


@pytest.mark.parametrize('name', BOMBS)
def test_bombs_are_refused_by_what_they_say(tmp_path, name):
    data, words = BOMBS[name]
    (tmp_path / 'bomb.pth').write_bytes(data)
    for read in (check_whole, read_checkpoint):
        with pytest.raises(UserError, match=words) as caught:
            read(tmp_path / 'bomb.pth')
        assert '\n' not in str(caught.value) and len(str(caught.value)) < 600


def legacy(numel, size, stride, stored):
    """Torch's format before 1.6, with a storage of 16 numbers."""
    buffer = io.BytesIO()
    torch.save({'x': torch.zeros(16)}, buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue()
    begin = data.index(b'\x80\x02}q\x00X\x01\0\0\0x')
    storage = tensor(numel, size, stride).replace(b'tQ', b'NtQ')
    return data[:begin] + pickled(storage) + pickle.dumps(['0'], 2) + stored.to_bytes(8, 'little') + data[-64:]


def test_torchs_former_format(tmp_path):
    """Its storages can be made larger by the tensors in them."""
    path = tmp_path / 'x.pth'
    path.write_bytes(legacy(16, [16], [1], 16))
    assert read_checkpoint(path)['x'].shape == (16,)
    for arguments, words in (
        ((10**10, [16], [1], 16), 'storage 0 is not as large as it should be'),
        ((10**10, [16], [1], 10**10), 'is cut short'),
        ((16, [10**10], [1], 16), 'outside of its storage'),
    ):
        path.write_bytes(legacy(*arguments))
        with pytest.raises(UserError, match=words):
            read_checkpoint(path)


def test_overlapping_entries(tmp_path):
    """One place in the file, many entries: 1 MB that reads as 1 GB."""
    data = archive(pickled(tensor(2**18, [2**18], [1])), [bytes(2**20)])
    place = data.rindex(b'PK\x01\x02', 0, data.rindex(b'archive/data/0'))
    record = data[place : place + 46 + len('archive/data/0')]
    more = b''.join(record.replace(b'data/0', b'data/' + bytes([65 + i])) for i in range(20))
    directory = data.index(b'PK\x01\x02')
    end = data.index(b'PK\x05\x06')
    entries = 4 + 20
    counts = entries.to_bytes(2, 'little') * 2 + (end - directory + len(more)).to_bytes(4, 'little')
    (tmp_path / 'x.pth').write_bytes(data[:end] + more + data[end : end + 8] + counts + data[end + 16 :])
    with pytest.raises(UserError, match='larger than their place'):
        check_whole(tmp_path / 'x.pth')


def test_what_shares_memory_as_tied_weights_do_is_read(tmp_path):
    table = torch.zeros(100, 10)
    torch.save({'a': table, 'b': table, 'c': table.t(), 'd': torch.zeros(1).expand(1000)}, tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth')['d'].shape == (1000,)
