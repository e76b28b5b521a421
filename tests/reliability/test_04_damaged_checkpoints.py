"""Promise 4: a file of weights that has changed since it was written is refused, wherever it is read."""

import io

import pytest
import torch
from hostile import flipped
from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.files import check_whole, read_checkpoint, read_safetensors, save
from mmsoco.checkpoints.guard import guard_loading
from mmsoco.engine.hooks.checkpoint import CheckpointHook
from mmsoco.engine.launch import train
from mmsoco.errors import UserError

FLIPS = 200


@pytest.fixture(scope='module')
def checkpoint(recipe, images, proposal_file, tmp_path_factory):
    """As the hook writes it."""
    from shrinking import shrink

    work_dir = tmp_path_factory.mktemp('run')
    train(recipe, str(work_dir), amp=False, options=shrink(recipe, images, proposal_file))
    return work_dir / 'epoch_2.pth'


def assert_refused(path, data, *reads):
    path.write_bytes(data)
    for read in reads:
        with pytest.raises(UserError) as caught:
            read(path)
        assert '\n' not in str(caught.value)


def test_the_hooks_checkpoints_are_sealed_and_read_by_all(checkpoint):
    guard_loading()
    assert b'mmsoco-sha256:' in checkpoint.read_bytes()[-100:]
    whole = read_checkpoint(checkpoint)
    by_torch = torch.load.__wrapped__
    others = (
        CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu'),
        by_torch(checkpoint, weights_only=True),
        by_torch(checkpoint, weights_only=True, mmap=True),
    )
    for other in others:
        assert list(other) == list(whole)
        assert all(torch.equal(t, other['state_dict'][name]) for name, t in whole['state_dict'].items())


def test_one_bit_is_noticed(checkpoint, tmp_path):
    guard_loading()
    path = tmp_path / 'flipped.pth'
    reads = (check_whole, read_checkpoint, torch.load, lambda path: CheckpointLoader.load_checkpoint(str(path)))
    for number, (_, data) in enumerate(flipped(checkpoint.read_bytes(), FLIPS)):
        assert_refused(path, data, reads[number % len(reads)])


def test_one_bit_of_the_beginning_and_of_the_end_is_noticed(checkpoint, tmp_path):
    """Where the archive's own records are."""
    whole = checkpoint.read_bytes()
    for place in (*range(64), *range(len(whole) - 120, len(whole))):
        changed = bytearray(whole)
        changed[place] ^= 4
        assert_refused(tmp_path / 'flipped.pth', bytes(changed), check_whole)


def test_cuts_and_what_is_appended(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    path = tmp_path / 'cut.pth'
    for size in (0, 1, 2, 3, 30, 1000, len(whole) // 2, len(whole) - 79, len(whole) - 78, len(whole) - 1):
        assert_refused(path, whole[:size], check_whole, read_checkpoint)
    for data in (whole + b'\0', b'\0' + whole, whole + whole, whole[:-78] + b'\0\0', whole[:-64] + b'0' * 64):
        assert_refused(path, data, check_whole, read_checkpoint)


def test_others_files_are_compared_with_their_crcs(checkpoint, tmp_path):
    """And what no CRC covers is equal in what is loaded."""
    buffer = io.BytesIO()
    content = read_checkpoint(checkpoint)['state_dict']
    torch.save(content, buffer)
    refused = 0
    for _, data in flipped(buffer.getvalue(), FLIPS, seed=1):
        (tmp_path / 'x.pth').write_bytes(data)
        try:
            loaded = read_checkpoint(tmp_path / 'x.pth')
        except UserError:
            refused += 1
        else:
            assert all(torch.equal(tensor, loaded[name]) for name, tensor in content.items())
    assert refused > 0.7 * FLIPS


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_what_is_extracted_is_sealed(checkpoint, tmp_path, ending):
    paths = [extract(checkpoint, tmp_path / f'{name}{ending}', with_hash=True)[0] for name in ('a', 'b')]
    whole = paths[0].read_bytes()
    assert whole == paths[1].read_bytes()
    read = read_safetensors if ending == '.safetensors' else read_checkpoint
    read(paths[0])
    for _, data in flipped(whole, FLIPS, seed=2):
        assert_refused(tmp_path / f'x{ending}', data, read)
    for size in (0, 7, 100, len(whole) - 1):
        assert_refused(tmp_path / f'x{ending}', whole[:size], read)
    # The beginning, where safetensors keep names, shapes and the digest.
    for place in range(min(len(whole), 400)):
        assert_refused(tmp_path / f'x{ending}', whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], read)


def test_nothing_is_made_of_a_damaged_file(checkpoint, tmp_path):
    for _, data in flipped(checkpoint.read_bytes(), 20, seed=3):
        assert_refused(tmp_path / 'x.pth', data, lambda path: extract(path, tmp_path / 'out.pth'))
    assert not (tmp_path / 'out.pth').exists()


def test_no_run_goes_on_from_a_damaged_file(recipe, tiny_options, checkpoint, tmp_path):
    _, data = next(flipped(checkpoint.read_bytes(), 1))
    (tmp_path / 'x.pth').write_bytes(data)
    with pytest.raises(UserError, match=r'x\.pth is damaged .*; copy it again'):
        train(recipe, str(tmp_path / 'out'), resume=str(tmp_path / 'x.pth'), amp=False, options=tiny_options)
    assert not (tmp_path / 'out').exists()


def test_only_checkpoints_are_sealed(tmp_path):
    CheckpointHook(interval=1)  # knows the backend
    backend = get_file_backend(backend_args=dict(backend='atomic'))
    backend.put(b'PK text', tmp_path / 'x.txt')
    backend.put(io.BytesIO(b'no archive'), tmp_path / 'x.pth')
    assert (tmp_path / 'x.txt').read_bytes() == b'PK text' and (tmp_path / 'x.pth').read_bytes() == b'no archive'


def test_equal_contents_are_equal_bytes(tmp_path):
    content = {'a': torch.arange(5.0), 'b': [1, 'x']}
    for name in ('one', 'two'):
        save(content, tmp_path / name)
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'two').read_bytes()


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    import os

    os.mkfifo(tmp_path / 'pipe.pth')
    for path, words in (
        (tmp_path / 'pipe.pth', 'is no regular file'),
        ('/dev/zero', 'is no regular file'),
        (tmp_path, 'is a folder'),
        (tmp_path / 'gone.pth', 'does not exist'),
        (tmp_path / ('x' * 300), 'cannot be opened'),
        ('a\0b', 'cannot be opened'),
    ):
        with pytest.raises(UserError, match=words):
            check_whole(path)
