import itertools
import math
from dataclasses import replace

import pytest
from mmengine.config import Config

from mmsoco.checkpoints.tools import TOOLS
from mmsoco.errors import UserError
from mmsoco.pretrain import choice
from mmsoco.pretrain.choice import Asked, Machine, Network, Recipe, Samples
from mmsoco.pretrain.inspection import Facts
from mmsoco.proposals.filters import ProposalFilter

CPU, GPU = Machine(0, 2), Machine(1, 8)


def samples(images, tiles=1):
    return Samples.of([tiles] * images)


def facts(shorter=400, longer=500, found=300, **changes):
    parts = dict(unreadable={}, duplicates=[], sides=(shorter, longer), smallest=(9, 9), largest=(9, 9))
    return Facts(root='/images', found=found, readable=found, **{**parts, **changes}, kinds={'RGB': 200}, sampled=200)


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
    recipe, row = choice.recipe_for(samples(images), Machine(gpus, 8))
    assert recipe == Recipe(name, batch, processes, accumulate)
    assert f'{images:,} images' in row.why
    assert ('nobody has measured' in row.why) is (name != '100-pictures_cpu')
    assert ('so few were not measured' in row.why) is (images < 100)


def test_steps_and_batch_of_each_recipe_are_those_of_its_config(root):
    names = {path.stem for path in (root / 'configs/own').glob('*.py')}
    assert names == set(choice.STEPS)
    for name in names:
        cfg = Config.fromfile(root / f'configs/own/{name}.py')
        assert cfg.train_cfg.max_steps == choice.STEPS[name]
        kind = name.partition('_')[2]
        assert cfg.total_batch_size == choice.BATCH.get(kind, choice.SEVERAL_BATCH)
        views = cfg.train_dataloader.dataset.pipeline.multi_view.views
        assert views.v1.size == choice.VIEW['cpu' if kind == 'cpu' else 'gpu'] == 2 * views.v3.size
        interval = cfg.default_hooks.probe.interval
        assert choice.interval_for(Recipe(name, 32), 10**6) == interval
        assert cfg.default_hooks.probe.images == choice.HELD_OUT


def test_a_short_run_is_measured_and_saved_some_times():
    assert choice.interval_for(Recipe('100-pictures_cpu', 32), 40) == 10
    assert choice.interval_for(Recipe('100-pictures_cpu', 32), 1) == 1


@pytest.mark.parametrize(
    ('images', 'advice'), [(35, '--batch 16'), (9, '--batch 8'), (8, 'more images'), (3, 'more images')]
)
def test_fewer_images_than_a_step_takes(images, advice):
    with pytest.raises(UserError, match=f'fewer than the 32 of a step; give {advice}$'):
        choice.recipe_for(samples(images), CPU)


def test_what_is_held_out_counts():
    assert choice.recipe_for(samples(36), CPU)[0].batch == 32
    choice.recipe_for(samples(9), CPU, batch=8)
    with pytest.raises(UserError, match='10 images can be used, 9 of them to train on'):
        choice.recipe_for(samples(10), CPU, batch=10)


def test_all_tiles_of_an_image_are_held_out():
    """As the data set does it: not a tenth of the tiles, but those of every tenth image."""
    assert samples(3, tiles=100) == Samples(300, 200, 3)
    assert Samples.of([50] + [1] * 10) == Samples(60, 9, 11)
    with pytest.raises(UserError, match=r'60 tiles can be used, 9 of them to train on, .* give --batch 8$'):
        choice.recipe_for(Samples(60, 9, 11), CPU)
    assert '300 tiles on 2 CPU cores' in choice.recipe_for(samples(3, tiles=100), CPU)[1].why


def test_a_batch_divides_over_the_gpus():
    assert choice.recipe_for(samples(10_000), Machine(4, 8), batch=128)[0] == Recipe('10k-pictures_8gpus', 128, 4, 1)
    with pytest.raises(UserError, match='does not divide over 4 GPUs'):
        choice.recipe_for(samples(10_000), Machine(4, 8), batch=130)


@pytest.mark.parametrize(('gpus', 'batch', 'least'), [(0, 1, 8), (1, 7, 8), (4, 16, 32)])
def test_a_process_compares_boxes_of_several_images(gpus, batch, least):
    with pytest.raises(UserError, match=f'too few to compare boxes; give {least} or more'):
        choice.recipe_for(samples(10_000), Machine(gpus, 8), batch=batch)
    assert choice.recipe_for(samples(10_000), Machine(gpus, 8), batch=least)[0].part == 8


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
    row = choice.batch_row(recipe, asked)
    assert row.choice == words and row.why.startswith(why)


@pytest.mark.parametrize(
    ('recipe', 'parts'),
    [(Recipe('1k-pictures_gpu', 64), (32, 16, 8)), (Recipe('10k-pictures_8gpus', 512, 2, 4), (32, 16, 8))],
)
def test_parts_end_before_they_are_too_few(recipe, parts):
    """Each smaller than what did not fit, of a step of as many images."""
    batch = recipe.batch
    for part in parts:
        recipe = choice.smaller_parts(recipe)
        assert (recipe.part, recipe.batch) == (part, batch)
    with pytest.raises(UserError, match=r'8 images at once do not fit .* use --view'):
        choice.smaller_parts(recipe)


@pytest.mark.parametrize(
    ('size', 'longer', 'options'),
    [
        ('small', 300, '--k 100 --min-size 20'),
        ('small', 1900, '--k 100 --min-size 20'),
        ('small', 4000, '--k 100 --min-size 20 --tile 512'),
        ('medium', 600, '--k 200 --min-size 50'),
        ('medium', 700, '--k 200 --min-size 50 --max-side 640'),
        ('large', 300, '--k 300 --min-size 100'),
        ('large', 4000, '--k 300 --min-size 100 --max-side 320'),
    ],
)
def test_the_search_fits_objects_and_images(size, longer, options):
    search, row = choice.search_for(size, facts(longer=longer))
    assert str(search) == options and size in row.why
    assert ('vanish' in row.why) is ('--tile' in options)
    assert search.parameters.k == search.k and (search.tiling is None) is (search.tile is None)


@pytest.mark.parametrize('size', choice.SIZES)
def test_images_that_cannot_be_read_as_a_whole_are_searched_in_tiles(size):
    search, row = choice.search_for(size, facts(shorter=20_000, longer=30_000))
    assert search.tile == choice.TILE and 'too large to be read' in row.why


def test_the_filter_of_large_objects_is_the_papers():
    assert choice.filter_for('large', 400) == ProposalFilter()


@pytest.mark.parametrize(('size', 'shorter'), itertools.product(choice.SIZES, (128, 500, 5000)))
def test_filters_keep_boxes_of_their_size(size, shorter):
    rules = choice.filter_for(size, shorter)
    low, high = choice.SIZES[size]
    assert rules.size == (low, high) and 8 <= rules.min_side <= 32
    # A square box of the middle size passes.
    assert math.sqrt(low * high) * shorter >= rules.min_side


def test_the_quickstarts_own_filter_is_near_the_middle_one():
    """It was chosen by hand for its sheets of 128 px: sides from 12 px on."""
    assert choice.filter_for('medium', 128).min_side == 12


def test_the_row_of_a_filter_says_who_chose_it():
    rules = choice.filter_for('medium', 400)
    assert choice.filter_row(rules, 'medium', asked=False).why.startswith('for medium objects, as nothing is said')
    assert choice.filter_row(rules, 'medium', asked=True).why == '--size medium'


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
    view, row = choice.view_for(Recipe(name, 32), choice.filter_for(size, 400))
    assert view == side and row.choice == f'{side} and {side // 2} px'
    middle = math.sqrt(math.prod(choice.SIZES[size]))
    assert middle * view > 0.9 * choice.LEAST_IN_VIEW


def test_views_that_are_asked_for():
    assert choice.view_for(Recipe('100-pictures_cpu', 32), ProposalFilter(), 64)[0] == 64
    with pytest.raises(UserError, match='--view 100 does not fit the strides'):
        choice.view_for(Recipe('100-pictures_cpu', 32), ProposalFilter(), 100)


@pytest.mark.parametrize(
    ('detector', 'backbone', 'machine', 'chosen'),
    [
        ('mask-rcnn', None, CPU, None),
        ('fcos', None, CPU, None),
        ('c4', None, CPU, 'resnet18'),
        ('mask-rcnn', None, GPU, 'resnet50'),
        ('c4', None, GPU, 'resnet50'),
        ('retinanet', 'resnet101', GPU, 'resnet101'),
        ('faster-rcnn', 'swin-t', CPU, 'swin-t'),
    ],
)
def test_the_network(detector, backbone, machine, chosen):
    network, row = choice.network_for(Asked(detector=detector, backbone=backbone), machine)
    assert network == Network(detector, chosen) and row.choice.startswith(detector)
    assert ('box head only trains' in row.why) is (detector in choice.ONE_STAGE and chosen is not None)


def test_networks_that_cannot_be():
    with pytest.raises(UserError, match='--detector c4 takes a ResNet'):
        choice.network_for(Asked(detector='c4', backbone='swin-t'), GPU)
    with pytest.raises(UserError, match="--detector fcos takes the maps from P3 on of an FPN, and vit-b's are"):
        choice.network_for(Asked(detector='fcos', backbone='vit-b'), GPU)
    with pytest.raises(UserError, match='--init needs --backbone here'):
        choice.network_for(Asked(init='weights.pth'), CPU)
    assert choice.network_for(Asked(init='weights.pth'), GPU)[0].backbone == 'resnet50'


@pytest.mark.parametrize(
    ('detector', 'backbone'), itertools.product(('mask-rcnn', 'fcos', 'c4'), (None, *choice.BACKBONES))
)
def test_each_of_the_four_tools_has_a_file_or_a_reason(detector, backbone):
    if detector == 'c4' and backbone not in choice.RESNETS:
        return
    exports = choice.exports_for(Network(detector, backbone))
    for tool in ('mmdet', 'torchvision', 'timm', 'detectron2'):
        own = [export for export in exports if export.whom.startswith(tool)]
        assert own and all(export.tool in TOOLS if export.tool else 'none: ' in export.what for export in own)
    files = [export.file for export in exports if export.tool]
    assert len(set(files)) == len(files)
    assert all(
        file.endswith('.pkl' if export.tool == 'detectron2' else '.pth')
        for file, export in zip(files, [export for export in exports if export.tool], strict=True)
    )
    whole = backbone in choice.RESNETS
    assert ('timm.pth' in files) is whole
    assert ('mmdet_one_stage.pth' in files) is (detector != 'c4' and backbone != 'vit-b')
    assert ('torchvision_fpn.pth' in files) is (backbone == 'resnet50' and detector != 'c4')


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
    found, row = choice.steps_for(Asked(**asked), Recipe('100-pictures_cpu', 32), 299, in_hours)
    assert (found, row.why) == (steps, why)


@pytest.mark.parametrize('in_hours', [None, 0, -3])
def test_hours_that_are_over_before_the_first_step(in_hours):
    with pytest.raises(UserError, match=r'0\.01 hours are over before the first step'):
        choice.steps_for(Asked(hours=0.01), Recipe('100-pictures_cpu', 32), 299, in_hours)


def test_usable_images():
    assert replace(facts(), duplicates=['a.jpg', 'b.jpg']).usable == 298
