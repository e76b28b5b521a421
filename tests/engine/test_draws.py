"""What models draw: each process, step and micro-batch its own, and the same after a resume."""

from itertools import product
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from mmsoco.engine.draws import seed_step
from mmsoco.engine.figures import Figures
from mmsoco.engine.hooks import step_seed
from mmsoco.engine.hooks.step_seed import StepSeedHook
from mmsoco.engine.launch import train
from mmsoco.engine.loops import PretrainLoop


def draws(*step):
    seed_step(*step)
    return tuple(torch.rand(4).tolist())


def test_no_two_draw_alike():
    seen = [draws(*step) for step in product((0, 1), (0, 1, 2), (0, 1, 2, 100_000), (0, 1))]
    assert len(set(seen)) == len(seen) == 48
    # (seed, rank) = (0, 1) and (1, 0), or (rank, step) so, would draw alike by adding.
    assert draws(0, 1, 0) != draws(1, 0, 0) != draws(0, 0, 1)
    assert draws(3, 2, 7, 1) == draws(3, 2, 7, 1)


def test_neighbours_have_nothing_in_common():
    values = torch.tensor([draws(0, rank, step) for rank in range(40) for step in range(40)])
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    of_next = values.reshape(40, 40, 4)
    for axis in (0, 1):
        left, right = of_next.narrow(axis, 0, 39).flatten(), of_next.narrow(axis, 1, 39).flatten()
        assert abs(torch.corrcoef(torch.stack([left, right]))[0, 1]) < 0.05


def test_a_device_gets_a_seed_of_64_bits_and_is_not_waited_for(monkeypatch):
    seeds = []
    seed_step(0, 0, 0)  # without one
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.cuda, 'manual_seed', seeds.append)
    for name in ('synchronize', 'set_rng_state', 'get_rng_state', 'init'):
        monkeypatch.delattr(torch.cuda, name)
    for step in range(20):
        seed_step(0, 0, step)
    assert len(set(seeds)) == 20 and max(seeds) >= 2**60


def runner_of(loop, step):
    return SimpleNamespace(train_loop=loop, seed=5, iter=step)


@pytest.mark.parametrize('rank', [0, 3])
def test_fine_tunings_are_seeded_by_a_hook(monkeypatch, rank):
    monkeypatch.setattr(step_seed, 'get_rank', lambda: rank)
    # mmengine counts steps of an epoch from 0; the run's own number is what counts.
    StepSeedHook().before_train_iter(runner_of(object(), 11), batch_idx=1)
    assert tuple(torch.rand(4).tolist()) == draws(5, rank, 11)


def test_a_pretraining_seeds_by_itself():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    StepSeedHook().before_train_iter(runner_of(object.__new__(PretrainLoop), 11), batch_idx=1)
    assert torch.equal(before, torch.get_rng_state())


class Masks(nn.Module):
    """Writes down what each batch draws."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def train_step(self, batch, optim_wrapper):
        self.drawn.append(tuple(torch.rand(4).tolist()))
        return {'loss': torch.zeros(())}


def test_each_micro_batch_of_a_step_draws_its_own(monkeypatch):
    model = Masks()
    loop = object.__new__(PretrainLoop)
    loop._runner = SimpleNamespace(
        seed=5, model=model, optim_wrapper=None, call_hook=lambda *args, **kwargs: None, train_loop=None, hooks=[]
    )
    loop._iter, loop._max_iters, loop._skipping, loop._figures = 7, 100, False, Figures()
    loop.run_iter(7, [{}, {}])
    monkeypatch.setattr('mmsoco.engine.loops.get_rank', lambda: 1)
    loop.run_iter(7, [{}, {}])
    expected = [draws(5, rank, 7, batch) for rank in (0, 1) for batch in (0, 1)]
    assert model.drawn == expected and len(set(expected)) == 4


class DropAndRecord(Hook):
    """Drops parts of a layer's output at random, and writes down which."""

    def before_train(self, runner):
        self.masks = runner.masks = {}
        model = runner.model
        model.backbone.conv1.register_forward_hook(
            lambda module, args, output: self.note(runner, nn.functional.dropout(torch.ones(8), 0.5).tolist())
        )

    def note(self, runner, mask):
        self.masks.setdefault(runner.iter, []).append(tuple(mask))


@pytest.mark.slow
def test_a_run_that_goes_on_draws_what_it_would_have_drawn(recipe, tiny_options, tmp_path, monkeypatch):
    """Also without the random state that is saved."""
    monkeypatch.setattr('mmsoco.engine.hooks.checkpoint.restore_process_state', lambda model, state: None)
    options = tiny_options | {
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.drops': dict(type=DropAndRecord),
    }
    whole = train(recipe, str(tmp_path / 'whole'), amp=False, options=options)
    path = tmp_path / 'whole/iter_2.pth'
    again = train(recipe, str(tmp_path / 'again'), resume=str(path), amp=False, options=options)
    assert sorted(whole.masks) == [0, 1, 2, 3] and sorted(again.masks) == [2, 3]
    assert {step: whole.masks[step] for step in (2, 3)} == again.masks
    assert len({masks[0] for masks in whole.masks.values()}) == 4
