from itertools import chain, islice

import pytest

from mmsoco.datasets import samplers
from mmsoco.datasets.samplers import EpochSampler
from mmsoco.errors import UserError

SIZE = 53
TOTAL_BATCH = 8
STEPS_PER_EPOCH = 6


def make(monkeypatch, rank=0, world_size=1, accumulate=1, size=SIZE, seed=None, total=TOTAL_BATCH):
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (rank, world_size))
    return EpochSampler(range(size), total // world_size // accumulate, accumulate, seed)


def take_steps(sampler, steps):
    """The (epoch, index) that one process takes, a list for each optimizer step."""
    share = sampler.batch_size * sampler.accumulate
    taken = list(islice(iter(sampler), steps * share))
    return [taken[i : i + share] for i in range(0, len(taken), share)]


@pytest.mark.parametrize('accumulate', [1, 2])
@pytest.mark.parametrize('world_size', [1, 2, 4])
def test_a_step_takes_the_same_images_however_the_batch_is_divided(monkeypatch, world_size, accumulate):
    steps = 2 * STEPS_PER_EPOCH + 2
    whole = take_steps(make(monkeypatch), steps)
    ranks = [take_steps(make(monkeypatch, rank, world_size, accumulate), steps) for rank in range(world_size)]
    for step in range(steps):
        parts = [rank[step] for rank in ranks]
        assert all(len(part) == TOTAL_BATCH // world_size for part in parts)
        together = sorted(chain(*parts))
        assert len(set(together)) == TOTAL_BATCH  # the parts are disjoint
        assert together == sorted(whole[step])


def test_micro_batches_of_all_processes_make_the_steps_batch_in_order(monkeypatch):
    """The first micro-batches of the processes hold the first half of the step."""
    whole = take_steps(make(monkeypatch), 1)[0]
    ranks = [take_steps(make(monkeypatch, rank, 2, 2), 1)[0] for rank in range(2)]
    assert ranks[0][:2] + ranks[1][:2] + ranks[0][2:] + ranks[1][2:] == whole


def test_an_epoch_drops_its_tail_and_the_next_has_another_order(monkeypatch):
    steps = take_steps(make(monkeypatch), 2 * STEPS_PER_EPOCH)
    epochs = [list(chain(*part)) for part in (steps[:STEPS_PER_EPOCH], steps[STEPS_PER_EPOCH:])]
    for number, epoch in enumerate(epochs):
        assert {e for e, _ in epoch} == {number}
        indices = [i for _, i in epoch]
        assert len(set(indices)) == len(indices) == STEPS_PER_EPOCH * TOTAL_BATCH
        assert set(indices) < set(range(SIZE))
    first, second = ([i for _, i in epoch] for epoch in epochs)
    assert first != second
    assert set(first) != set(second)  # other images wait, too
    assert first != sorted(first)


def test_a_data_set_of_exactly_one_batch(monkeypatch):
    sampler = make(monkeypatch, size=TOTAL_BATCH)
    steps = take_steps(sampler, 3)
    assert [{e for e, _ in step} for step in steps] == [{0}, {1}, {2}]
    assert all({i for _, i in step} == set(range(TOTAL_BATCH)) for step in steps)


@pytest.mark.parametrize('start', [1, STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 3])
@pytest.mark.parametrize(('world_size', 'accumulate'), [(1, 1), (2, 2)])
def test_start_step_goes_on_exactly_there(monkeypatch, start, world_size, accumulate):
    sampler = make(monkeypatch, world_size - 1, world_size, accumulate)
    whole = take_steps(sampler, 3 * STEPS_PER_EPOCH)
    sampler.start_step = start
    assert take_steps(sampler, 3 * STEPS_PER_EPOCH - start) == whole[start:]


def test_iterating_twice_gives_the_same(monkeypatch):
    sampler = make(monkeypatch)
    assert take_steps(sampler, 8) == take_steps(sampler, 8)


def test_seeds_differ_and_none_is_0(monkeypatch):
    orders = {seed: take_steps(make(monkeypatch, seed=seed), 3) for seed in (None, 0, 1, 2)}
    assert orders[None] == orders[0]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_samples_are_plain_integers(monkeypatch):
    epoch, index = next(iter(make(monkeypatch)))
    assert type(epoch) is int and type(index) is int


@pytest.mark.parametrize(('world_size', 'accumulate', 'length'), [(1, 1, 48), (2, 1, 24), (2, 2, 24), (4, 1, 12)])
def test_len_is_a_processes_samples_of_an_epoch(monkeypatch, world_size, accumulate, length):
    sampler = make(monkeypatch, 0, world_size, accumulate)
    assert len(sampler) == length
    assert sampler.total_batch_size == TOTAL_BATCH
    assert sampler.steps_per_epoch == STEPS_PER_EPOCH


def test_a_data_set_smaller_than_a_batch_is_refused(monkeypatch):
    with pytest.raises(UserError, match='7 images are less than one batch of 8'):
        make(monkeypatch, world_size=2, size=7)
