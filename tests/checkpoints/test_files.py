"""What is read, and what is said of the rest; what is refused stands in tests/reliability."""

import argparse
import io

import pytest
import torch

from mmsoco.checkpoints.files import check_whole, load, read_checkpoint, save
from mmsoco.errors import UserError

CONTENT = {
    'state_dict': torch.nn.BatchNorm2d(3).state_dict(),
    'parameter': torch.nn.Parameter(torch.ones(2)),
    'transposed': torch.arange(20.0).reshape(4, 5).t(),
    'empty': torch.zeros(0),
    'number': torch.tensor(3),
    'kinds': [torch.zeros(2, dtype=kind) for kind in (torch.bfloat16, torch.bool, torch.complex64, torch.int8)],
    'plain': {'a': [1, 2.5, None, (True, 'x')], 3: b'bytes', 'big': 2**100, 'complex': 1 + 2j, 'set': {1, 2}},
    'torch': [torch.Size([1, 2]), torch.device('cpu'), torch.float16],
    'slice': slice(1, 2),
}


@pytest.mark.parametrize('kind', ['zip', 'legacy'])
def test_what_checkpoints_hold(tmp_path, kind):
    torch.save(CONTENT, tmp_path / 'x.pth', _use_new_zipfile_serialization=kind == 'zip')
    check_whole(tmp_path / 'x.pth')
    for read in (read_checkpoint(tmp_path / 'x.pth'), load(io.BytesIO((tmp_path / 'x.pth').read_bytes()))):
        assert read['state_dict']._metadata == CONTENT['state_dict']._metadata
        assert isinstance(read['parameter'], torch.nn.Parameter)
        assert torch.equal(read['transposed'], CONTENT['transposed']) and not read['transposed'].is_contiguous()
        assert [t.dtype for t in read['kinds']] == [t.dtype for t in CONTENT['kinds']]
        assert all(read[key] == CONTENT[key] for key in ('plain', 'torch', 'slice'))


def test_numbers_of_newer_types(tmp_path):
    content = {'a': torch.ones(3, dtype=torch.uint16), 'b': torch.ones(5).to(torch.float8_e4m3fn)}
    save(content, tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth')['b'].dtype == torch.float8_e4m3fn


def test_where_it_is_loaded_to(tmp_path):
    save({'a': torch.ones(1)}, tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth', map_location='meta')['a'].is_meta
    assert torch.equal(load(tmp_path / 'x.pth', mmap=True)['a'], torch.ones(1))


def test_types_are_allowed_by_name_and_no_others(tmp_path):
    save({'opt': argparse.Namespace(lr=1)}, tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth', allow=[argparse.Namespace])['opt'].lr == 1
    assert argparse.Namespace not in torch.serialization.get_safe_globals()
    with pytest.raises(UserError, match=r'it holds argparse\.Namespace'):
        read_checkpoint(tmp_path / 'x.pth')


def test_what_is_no_checkpoint(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / 'script.pth')
    (tmp_path / 'page.pth').write_text('<html>')
    torch.save({'a': torch.ones(1)}, tmp_path / 'protocol.pth', pickle_protocol=4)
    for name, words in (
        ('script', 'compressed entries'),
        ('page', 'it is something else'),
        ('protocol', 'a pickle of protocol 4'),
    ):
        with pytest.raises(UserError, match=rf'{name}\.pth is no checkpoint .*{words}'):
            check_whole(tmp_path / f'{name}.pth')
    save([1], tmp_path / 'list.pth')
    with pytest.raises(UserError, match='holds a list instead of a checkpoint'):
        read_checkpoint(tmp_path / 'list.pth')
