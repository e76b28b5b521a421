from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from mmsoco.datasets.batches import ALIGNMENT, Batch, one_batch
from mmsoco.models import SoCoDataPreprocessor
from mmsoco.registry import FUNCTIONS

PAIR = ('v1', 'v2')


def sample(index):
    rng = np.random.default_rng(index)
    return {
        'inputs': {'v1': rng.integers(0, 256, (6, 5, 3), np.uint8), 'v3': rng.integers(0, 256, (3, 3, 1), np.uint8)},
        'boxes': {'v1': {'image': rng.random((4, 4), np.float32)}},
        'matches': {'image': {PAIR: index + 3}},
        'images': index,
        'weights': torch.full((2,), index / 7, dtype=torch.float64),
        'temperature': 0.5 * index,
        'good': index % 2 == 0,
        'names': f'{index}.jpg',
    }


class Samples(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return sample(index)


def leaves(tree):
    if isinstance(tree, dict):
        return {(key, *rest): value for key, part in tree.items() for rest, value in leaves(part).items()}
    return {(): tree}


def assert_same(batch, expected):
    batch, expected = leaves(batch), leaves(expected)
    assert list(batch) == list(expected)
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert batch[key].dtype == value.dtype and torch.equal(batch[key], value), key
        else:
            assert batch[key] == value


def addresses(batch):
    return {value.untyped_storage().data_ptr() for value in leaves(batch).values() if isinstance(value, torch.Tensor)}


@pytest.fixture
def samples():
    return [sample(index) for index in range(3)]


def test_is_torchs_batch_in_one_piece_of_memory(samples):
    batch = one_batch(samples)
    assert_same(batch, default_collate(samples))
    assert addresses(batch) == {batch.memory.untyped_storage().data_ptr()}
    assert batch['boxes']['v1']['image'].data_ptr() % ALIGNMENT == batch.memory.data_ptr() % ALIGNMENT
    batch['inputs']['v1'][0] = 7
    assert (batch.memory[: 6 * 5 * 3] == 7).all()


def test_workers_hand_on_the_memory_alone(samples):
    (batch, last) = DataLoader(Samples(), batch_size=3, num_workers=1, collate_fn=one_batch)
    assert isinstance(batch, Batch) and batch.memory.is_shared()
    assert_same(batch, default_collate(samples))
    assert_same(last, default_collate([sample(3)]))
    assert len(addresses(batch)) == 1


def test_is_moved_by_one_copy_and_what_was_added_by_its_own(samples, monkeypatch):
    copied = []

    def move(tensor, *args, **options):
        copied.append(tensor.numel())
        return tensor.clone()

    for name in ('to', 'pin_memory'):
        monkeypatch.setattr(torch.Tensor, name, move)
    batch = one_batch(samples)
    for travel in (Batch.pin_memory, lambda batch: batch.to('cuda', non_blocking=True)):
        moved = travel(batch)
        assert isinstance(moved, Batch)
        assert copied == [batch.memory.numel()]
        assert_same(moved, default_collate(samples))
        assert addresses(moved) == {moved.memory.untyped_storage().data_ptr()} != addresses(batch)
        copied.clear()
    batch['inputs']['mask'] = torch.ones(5)
    batch['boxes'] = {'v1': torch.zeros(3, 1)}
    moved = batch.pin_memory()
    assert sorted(copied) == [3, 5, batch.memory.numel()]
    assert moved['inputs']['mask'].tolist() == [1] * 5
    assert moved['boxes']['v1'].tolist() == [[0]] * 3
    # Part of a tensor stays what it is.
    batch['inputs']['v1'] = batch['inputs']['v1'][1:, ::2]
    np.testing.assert_array_equal(batch.pin_memory()['inputs']['v1'], default_collate(samples)['inputs']['v1'][1:, ::2])


def test_the_preprocessor_moves_it_as_one(samples, monkeypatch):
    given = [{key: each[key] for key in ('inputs', 'boxes', 'images')} for each in samples]
    for each in given:
        del each['inputs']['v3']
    moved = []
    monkeypatch.setattr(Batch, 'to', lambda batch, *args, **options: moved.append((args, options)) or batch)
    preprocess = SoCoDataPreprocessor()
    out, plain = preprocess(one_batch(given)), preprocess(default_collate(given))
    assert moved == [((torch.device('cpu'),), {'non_blocking': True})]
    assert_same(out, plain)


class Pair(NamedTuple):
    first: torch.Tensor
    rest: list


def test_what_lies_in_lists_is_moved_too(samples, monkeypatch):
    for each in samples:
        each['more'] = [np.ones(2), (np.zeros(3), 'word')]
    batch = one_batch(samples)
    assert [type(part) for part in batch['more']] == [torch.Tensor, list]
    batch['pair'] = Pair(torch.ones(4), [(torch.ones(5),)])
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda tensor: tensor.clone() + (tensor.numel() < 100))
    moved = batch.pin_memory()
    assert moved['more'][0].tolist() == [[2, 2]] * 3 and moved['more'][1][0].tolist() == [[1, 1, 1]] * 3
    assert moved['more'][1][1] == ('word',) * 3
    assert isinstance(moved['pair'], Pair) and moved['pair'].first.tolist() == [2] * 4
    assert moved['pair'].rest[0][0].tolist() == [2] * 5
    assert torch.equal(moved['inputs']['v1'], batch['inputs']['v1'])


def test_words_of_numpy_are_words():
    words = [{'a': np.str_('x'), 'b': np.bytes_(b'y')}, {'a': np.str_('z'), 'b': np.bytes_(b'w')}]
    assert one_batch(words) == default_collate(words) == {'a': ['x', 'z'], 'b': [b'y', b'w']}
    for other in (np.datetime64('2020-01-01'), np.array(['x'])):
        with pytest.raises(TypeError, match='default_collate'):
            one_batch([{'a': other}] * 2)


def test_arrays_of_different_shapes_are_refused_in_torchs_words():
    with pytest.raises(RuntimeError, match='stack expects each tensor to be equal size'):
        one_batch([{'a': np.zeros(2)}, {'a': np.zeros(3)}])


def test_nothing_to_stack():
    assert one_batch([{'a': 'x'}, {'a': 'y'}]) == {'a': ['x', 'y']}


def test_the_registry_knows_the_name():
    assert FUNCTIONS.get('mmsoco.one_batch') is one_batch
