import pytest
from mmengine.config import Config

from mmsoco.engine.batch import divide_batch
from mmsoco.errors import UserError


@pytest.fixture
def cfg(recipe):
    return Config.fromfile(recipe)


@pytest.mark.parametrize('world, accumulate, words', [(8, 1, '2048 = 8 x 256'), (16, 1, '2048 = 16 x 128')])
def test_total_is_the_papers_whatever_the_number_of_processes(cfg, world, accumulate, words):
    assert divide_batch(cfg, world, accumulate) == words
    assert cfg.train_dataloader.batch_size * world == 2048
    assert cfg.train_dataloader.sampler.batch_size == cfg.train_dataloader.batch_size


def test_accumulation_shares_the_batch_further(cfg):
    assert divide_batch(cfg, 2, 16) == '2048 = 2 x 64 x 16 accumulated'
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.train_dataloader.sampler.accumulate == cfg.optim_wrapper.accumulative_counts == 16


@pytest.mark.parametrize('world, accumulate', [(3, 1), (1, 0), (4096, 1)])
def test_what_does_not_divide_is_refused_with_a_way_out(cfg, world, accumulate):
    with pytest.raises(UserError, match=f'into {world} processes x {accumulate}.*use for instance'):
        divide_batch(cfg, world, accumulate)


def test_without_a_total(cfg):
    cfg.pop('total_batch_size')
    with pytest.raises(UserError, match='set how many images it has in all: total_batch_size'):
        divide_batch(cfg, 1, 1)


@pytest.mark.parametrize('total', [0, -4, 'many', 4.5, True])
def test_totals_that_are_none(cfg, total):
    cfg.total_batch_size = total
    with pytest.raises(UserError, match=f'total_batch_size {total} is not a number of images'):
        divide_batch(cfg, 1, 1)
