import math

import pytest
from mmengine.config import Config

from mmsoco.errors import UserError
from mmsoco.pretrain.asked import Asked, Machine
from mmsoco.pretrain.proposals import SIZES, filter_for
from mmsoco.pretrain.recipes import (
    BATCH,
    HELD_OUT,
    LEAST_IN_VIEW,
    SEVERAL_BATCH,
    STEPS,
    VIEW,
    Recipe,
    Samples,
    batch_row,
    interval_for,
    recipe_for,
    smaller_parts,
    steps_for,
    view_for,
)
from mmsoco.proposals.filters import ProposalFilter

CPU, GPU = Machine(0, 2), Machine(1, 8)


def samples(images, tiles=1):
    return Samples.of([tiles] * images)


@pytest.mark.parametrize(
    ('images', 'gpus', 'name', 'batch', 'processes', 'accumulate'),
    [
        (40, 0, '100-pictures_cpu', 32, 1, 1),
        (999, 0, '100-pictures_cpu', 32, 1, 1),
        (1000, 0, '1k-pictures_cpu', 32, 1, 1),
        (10_000, 0, '10k-pictures_cpu', 32, 1, 1),
        (50_000, 0, '50k-pictures_cpu', 32, 1, 1),
        (100, 1, '100-pictures_gpu', 64, 1, 1),
        (9_999, 8, '1k-pictures_gpu', 64, 1, 1),
        (10_000, 1, '10k-pictures_gpu', 64, 1, 1),
        (10_000, 8, '10k-pictures_8gpus', 512, 8, 1),
        (10_000, 2, '10k-pictures_8gpus', 512, 2, 4),
        (10_000, 3, '10k-pictures_8gpus', 512, 2, 4),
        (2_000_000, 16, '50k-pictures_8gpus', 512, 8, 1),
    ],
)
def test_the_recipe_is_that_of_the_number_of_images_and_the_machine(images, gpus, name, batch, processes, accumulate):
    recipe, row = recipe_for(samples(images), Machine(gpus, 8))
    assert recipe == Recipe(name, batch, processes, accumulate)
    assert f'{images:,} images' in row.why
    assert ('nobody has measured' in row.why) is (name != '100-pictures_cpu')
    assert ('so few were not measured' in row.why) is (images < 100)


def test_steps_and_batch_of_each_recipe_are_those_of_its_config(root):
    names = {path.stem for path in (root / 'configs/own').glob('*.py')}
    assert names == set(STEPS)
    for name in names:
        cfg = Config.fromfile(root / f'configs/own/{name}.py')
        assert cfg.train_cfg.max_steps == STEPS[name]
        kind = name.partition('_')[2]
        assert cfg.total_batch_size == BATCH.get(kind, SEVERAL_BATCH)
        views = cfg.train_dataloader.dataset.pipeline.multi_view.views
        assert views.v1.size == VIEW['cpu' if kind == 'cpu' else 'gpu'] == 2 * views.v3.size
        interval = cfg.default_hooks.probe.interval
        assert interval_for(Recipe(name, 32), 10**6) == interval
        assert cfg.default_hooks.probe.images == HELD_OUT


def test_a_short_run_is_measured_and_saved_some_times():
    assert interval_for(Recipe('100-pictures_cpu', 32), 40) == 10
    assert interval_for(Recipe('100-pictures_cpu', 32), 1) == 1


@pytest.mark.parametrize(
    ('images', 'advice'), [(35, '--batch 16'), (9, '--batch 8'), (8, 'more images'), (3, 'more images')]
)
def test_fewer_images_than_a_step_takes(images, advice):
    with pytest.raises(UserError, match=f'fewer than the 32 of a step; give {advice}$'):
        recipe_for(samples(images), CPU)


def test_what_is_held_out_counts():
    assert recipe_for(samples(36), CPU)[0].batch == 32
    recipe_for(samples(9), CPU, batch=8)
    with pytest.raises(UserError, match='10 images can be used, 9 of them to train on'):
        recipe_for(samples(10), CPU, batch=10)


def test_all_tiles_of_an_image_are_held_out():
    """As the data set does it: not a tenth of the tiles, but those of every tenth image."""
    assert samples(3, tiles=100) == Samples(300, 200, 3)
    assert Samples.of([50] + [1] * 10) == Samples(60, 9, 11)
    with pytest.raises(UserError, match=r'60 tiles can be used, 9 of them to train on, .* give --batch 8$'):
        recipe_for(Samples(60, 9, 11), CPU)
    assert '300 tiles on 2 CPU cores' in recipe_for(samples(3, tiles=100), CPU)[1].why


def test_a_batch_divides_over_the_gpus():
    assert recipe_for(samples(10_000), Machine(4, 8), batch=128)[0] == Recipe('10k-pictures_8gpus', 128, 4, 1)
    with pytest.raises(UserError, match='does not divide over 4 GPUs'):
        recipe_for(samples(10_000), Machine(4, 8), batch=130)


@pytest.mark.parametrize(('gpus', 'batch', 'least'), [(0, 1, 8), (1, 7, 8), (4, 16, 32)])
def test_a_process_compares_boxes_of_several_images(gpus, batch, least):
    with pytest.raises(UserError, match=f'too few to compare boxes; give {least} or more'):
        recipe_for(samples(10_000), Machine(gpus, 8), batch=batch)
    assert recipe_for(samples(10_000), Machine(gpus, 8), batch=least)[0].part == 8


@pytest.mark.parametrize(
    ('recipe', 'asked', 'words', 'why'),
    [
        (Recipe('100-pictures_cpu', 32), None, '32 images', "the recipe's, and fits the memory, as tried"),
        (Recipe('1k-pictures_gpu', 64, 1, 4), None, '64 images = 1 x 16 x 4 accumulated', '64 at once do not fit'),
        (Recipe('10k-pictures_8gpus', 512, 2, 8), None, '512 images = 2 x 32 x 8 accumulated', '64 at once do not fit'),
        (Recipe('1k-pictures_gpu', 16), 16, '16 images', '--batch'),
        (Recipe('10k-pictures_8gpus', 512, 2, 4), None, '512 images = 2 x 64 x 4 accumulated', "the recipe's, and"),
    ],
)
def test_the_row_of_the_batch(recipe, asked, words, why):
    row = batch_row(recipe, asked)
    assert row.choice == words and row.why.startswith(why)


@pytest.mark.parametrize(
    ('recipe', 'parts'),
    [(Recipe('1k-pictures_gpu', 64), (32, 16, 8)), (Recipe('10k-pictures_8gpus', 512, 2, 4), (32, 16, 8))],
)
def test_parts_end_before_they_are_too_few(recipe, parts):
    """Each smaller than what did not fit, of a step of as many images."""
    batch = recipe.batch
    for part in parts:
        recipe = smaller_parts(recipe)
        assert (recipe.part, recipe.batch) == (part, batch)
    with pytest.raises(UserError, match=r'8 images at once do not fit .* use --view'):
        smaller_parts(recipe)


@pytest.mark.parametrize(
    ('name', 'size', 'side'),
    [
        ('100-pictures_cpu', 'large', 128),
        ('100-pictures_cpu', 'medium', 128),
        ('100-pictures_cpu', 'small', 192),
        ('1k-pictures_gpu', 'small', 224),
        ('10k-pictures_8gpus', 'small', 224),
    ],
)
def test_views_show_boxes_large_enough(name, size, side):
    view, row = view_for(Recipe(name, 32), filter_for(size, 400))
    assert view == side and row.choice == f'{side} and {side // 2} px'
    middle = math.sqrt(math.prod(SIZES[size]))
    assert middle * view > 0.9 * LEAST_IN_VIEW


def test_views_that_are_asked_for():
    assert view_for(Recipe('100-pictures_cpu', 32), ProposalFilter(), 64)[0] == 64
    with pytest.raises(UserError, match='--view 100 does not fit the strides'):
        view_for(Recipe('100-pictures_cpu', 32), ProposalFilter(), 100)


@pytest.mark.parametrize(
    ('asked', 'in_hours', 'steps', 'why'),
    [
        ({}, None, 400, "the recipe's; each image is seen 43 times"),
        (dict(steps=4), None, 4, '--steps; the recipe has 400, expect less'),
        (dict(steps=300), None, 300, '--steps'),
        (dict(epochs=30), None, 30 * 9, '30 epochs of 299 images'),
        (dict(hours=1.5), 1234, 1234, 'what fits into 1.5 hours'),
    ],
)
def test_the_number_of_steps(asked, in_hours, steps, why):
    found, row = steps_for(Asked(**asked), Recipe('100-pictures_cpu', 32), 299, in_hours)
    assert (found, row.why) == (steps, why)


@pytest.mark.parametrize('in_hours', [None, 0, -3])
def test_hours_that_are_over_before_the_first_step(in_hours):
    with pytest.raises(UserError, match=r'0\.01 hours are over before the first step'):
        steps_for(Asked(hours=0.01), Recipe('100-pictures_cpu', 32), 299, in_hours)
