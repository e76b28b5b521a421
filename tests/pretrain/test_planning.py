import cv2
import numpy as np
import pytest
import torch

from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList
from mmsoco.images.tiles import FewTiles
from mmsoco.pace import Pace
from mmsoco.pretrain import planning
from mmsoco.pretrain.asked import Asked
from mmsoco.pretrain.planning import make_plan, search_time, steps_within, this_machine, trial_sample
from mmsoco.pretrain.proposals import Search
from mmsoco.pretrain.recipes import HELD_OUT, Recipe, Samples
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.search.folder import search_folder
from mmsoco.proposals.store import ProposalStore


def test_a_cpu_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(planning, 'require_usable', lambda: None)
    assert (this_machine(None).gpus, this_machine(None).kind) == (2, 'gpu')
    assert (this_machine('cpu').gpus, this_machine('cpu').kind) == (0, 'cpu')


def test_tiles_are_images_of_their_own():
    assert Search(100, 20).count_tiles((400, 300)) == 1
    assert Search(100, 20, tile=200).count_tiles((400, 300)) == 3 * 2


def test_the_time_of_a_search_counts_the_start_once():
    marks = [(100.0, 0), (104.0, 2), (105.0, 4), (106.0, 6)]
    assert search_time(marks, 1002) == 4 + 1000 * 0.5
    assert search_time([(0.0, 0), (2.0, 4)], 40) == 20
    assert search_time([(0.0, 0), (2.0, 4), (3.0, 4)], 40) == 30


@pytest.mark.parametrize('tiles', [[1] * 300, [1936] * 4, [1936, 1], [1] * 40 + [1936], [9] * 6, [3] * 2000])
def test_a_trial_has_enough_to_train_on_and_not_much_more(tiles):
    tiles = {f'{i:04d}.png': count for i, count in enumerate(tiles)}
    needed = min(36, Samples.of(list(tiles.values())).left)
    sample, most = trial_sample(tiles, needed)
    found = Samples.of([FewTiles.count(tiles[name], most) for name in sample])
    assert needed <= found.left and found.total <= 4 * (needed + HELD_OUT)


def test_some_tiles_are_those_of_the_tiling(tmp_path):
    """So that what is tried is read as it will be trained on."""
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8))
    images = ImageList('two', ['a.png', 'b.png'])
    search_folder(tmp_path, tmp_path / 'raw', image_list=images, tiling=FewTiles(64, 0.1, most=3))
    filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter())
    store = ProposalStore.open(tmp_path / 'p.arrow')
    every = [name for image in images.names for name in Search(1, 1, tile=64).tiling.names(image, 300, 200)]
    assert len(store) == 2 * FewTiles.count(len(every) // 2, 3) and set(store.names()) < set(every)
    assert store.header['tiles'] == Search(1, 1, tile=64).tiling.describe()


def test_hours_are_those_of_a_short_run():
    """Which is probed more often: 24 minutes are not enough for 49 steps and three probes of 400 s."""
    pace, recipe = Pace(start=0, step=10, probe=400), Recipe('100-pictures_cpu', 32)
    steps = steps_within(1440, pace, recipe)
    assert pace.steps_in(1440, 100) > 100
    assert 0 < steps < 0.7 * pace.steps_in(1440, 100)
    assert steps_within(-5, pace, recipe) <= 0


def test_images_that_are_too_few_or_cannot_be_listed(tmp_path):
    """Before anything is tried."""
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'one.png'), image)
    with pytest.raises(UserError, match='has fewer than 2 images that can be used, and one is held out; give more'):
        make_plan(str(tmp_path), Asked(device='cpu'), [].append)
    cv2.imwrite(str(tmp_path / 'two\nlines.png'), image[::-1])
    with pytest.raises(UserError, match='as there is a line break in the name; rename that file'):
        make_plan(str(tmp_path), Asked(device='cpu'), [].append)
