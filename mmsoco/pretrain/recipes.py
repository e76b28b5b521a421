"""Choosing a recipe of configs/own, its batch, views and steps: each from facts alone, with its reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmsoco.errors import UserError
from mmsoco.pretrain.asked import Asked, Machine, Row
from mmsoco.proposals.filters import ProposalFilter
from mmsoco.resources import PREFIX

#: From how many images on a recipe of configs/own is meant, and what its name begins with (docs/recipes.md).
RECIPES = {50_000: '50k', 10_000: '10k', 1_000: '1k', 0: '100'}
#: The recipes that have a form for several GPUs, and the images a step that these share.
SEVERAL, SEVERAL_BATCH, MOST_GPUS = ('10k', '50k'), 512, 8
#: Images that a process compares boxes of at once, at least.
LEAST_PART = 8
#: Images a step, and side of the views in pixels, of the recipes for a CPU and for GPUs.
BATCH = {'cpu': 32, 'gpu': 64}
VIEW = {'cpu': 128, 'gpu': 224}
#: Steps of each recipe; the configs say the same.
STEPS = {
    '100-pictures_cpu': 400,
    '1k-pictures_cpu': 1000,
    '10k-pictures_cpu': 3000,
    '50k-pictures_cpu': 6000,
    '100-pictures_gpu': 1000,
    '1k-pictures_gpu': 5000,
    '10k-pictures_gpu': 20000,
    '50k-pictures_gpu': 50000,
    '10k-pictures_8gpus': 5000,
    '50k-pictures_8gpus': 20000,
}
#: Every so many images, one is held out.
HELD_OUT = 10
#: Pixels of a view that the middle one of the boxes should measure: six cells of the finest level.
LEAST_IN_VIEW = 24


@dataclass(frozen=True)
class Recipe:
    """A config of configs/own, and how processes share it.

    Attributes:
        name: Without its ending.
        batch: Images a step.
        processes: One a GPU.
        accumulate: Parts of each process' share.
    """

    name: str
    batch: int
    processes: int = 1
    accumulate: int = 1

    @property
    def part(self) -> int:
        """Images that a process takes at once."""
        return self.batch // self.processes // self.accumulate


@dataclass(frozen=True)
class Samples:
    """What a data set has: images, or tiles of them.

    Attributes:
        total: All of them.
        left: Those to train on; the others are held out.
        images: That they are of.
    """

    total: int
    left: int
    images: int

    @classmethod
    def of(cls, tiles: Sequence[int]) -> 'Samples':
        """Of the tiles of each image, in the data set's order; all of every :data:`HELD_OUT` th are held out."""
        return cls(sum(tiles), sum(tiles) - sum(tiles[::HELD_OUT]), len(tiles))

    def __str__(self) -> str:
        return f'{self.total:,} images' if self.total == self.images else f'{self.total:,} tiles'


def recipe_for(samples: Samples, machine: Machine, batch: int | None = None) -> tuple[Recipe, Row]:
    """By docs/recipes.md: the number of images and the machine.

    Args:
        samples: What there is to train on.
        machine: What there is to compute with.
        batch: Images a step, where the user says so.

    Raises:
        UserError: A step takes more images than there are to train on.
    """
    number = next(name for least, name in RECIPES.items() if samples.total >= least)
    kind, processes, accumulate = machine.kind, 1, 1
    if machine.gpus > 1 and number in SEVERAL:
        # The batch is to divide; what a card would have more than 64 of, it takes in parts.
        processes = min(2 ** math.floor(math.log2(machine.gpus)), MOST_GPUS)
        kind, accumulate = '8gpus', MOST_GPUS // processes
    name = f'{number}-pictures_{kind}'
    default = SEVERAL_BATCH if kind == '8gpus' else BATCH[kind]
    recipe = Recipe(name, batch or default, processes, accumulate if batch is None else 1)
    if recipe.batch % (recipe.processes * recipe.accumulate):
        raise UserError(f'--batch {batch} does not divide over {processes} GPUs; give a multiple of {processes}')
    if recipe.part < LEAST_PART:
        raise UserError(
            f'--batch {batch} gives a process {recipe.part} at once, too few to compare boxes; give '
            f'{LEAST_PART * processes} or more'
        )
    on = f'{processes} GPUs' if processes > 1 else 'one GPU' if machine.gpus else f'{machine.cores} CPU cores'
    if samples.left < recipe.batch:
        smaller = 2 ** math.floor(math.log2(max(samples.left, 1)))
        advice = f'--batch {smaller}' if smaller >= LEAST_PART * processes else 'more images'
        raise UserError(
            f'{samples} can be used, {samples.left} of them to train on, fewer than the {recipe.batch} of a step; '
            f'give {advice}'
        )
    why = f'{samples} on {on}'
    if samples.total < 100:
        why += '; so few were not measured'
    elif name != '100-pictures_cpu':
        why += '; of this recipe nobody has measured the gain yet'
    return recipe, Row('recipe', f'{PREFIX}own/{name}.py', why)


def smaller_parts(recipe: Recipe) -> Recipe:
    """The same step in smaller parts, for a memory that those before do not fit into.

    Raises:
        UserError: They are too few to compare boxes with.
    """
    part = recipe.part // 2
    if part < LEAST_PART:
        raise UserError(
            f'{recipe.part} images at once do not fit into the memory, and fewer are too few to compare; use --view'
        )
    return replace(recipe, accumulate=recipe.accumulate * 2)


def batch_row(recipe: Recipe, asked: int | None = None) -> Row:
    """A line for the images a step, after some steps were tried."""
    words = f'{recipe.batch} images'
    if recipe.processes * recipe.accumulate > 1:
        words += f' = {recipe.processes} x {recipe.part}'
    words += f' x {recipe.accumulate} accumulated' if recipe.accumulate > 1 else ''
    if asked is not None:
        return Row('batch', words, '--batch')
    usual = BATCH.get(recipe.name.partition('_')[2], SEVERAL_BATCH // MOST_GPUS)
    if recipe.part == usual:
        return Row('batch', words, "the recipe's, and fits the memory, as tried")
    why = f'{usual} at once do not fit into the memory, as tried; boxes are compared among those of {recipe.part}'
    return Row('batch', words, why)


def view_for(recipe: Recipe, rules: ProposalFilter, asked: int | None = None) -> tuple[int, Row]:
    """Side of the views.

    Args:
        recipe: The one chosen.
        rules: The filter chosen.
        asked: What the user says.

    Raises:
        UserError: The strides of a network do not fit into it.
    """
    usual = VIEW['cpu' if recipe.name.endswith('cpu') else 'gpu']
    if asked is not None:
        if asked % 32:
            raise UserError(f'--view {asked} does not fit the strides of a network; give a multiple of 32')
        return asked, Row('views', f'{asked} and {asked // 2} px', '--view')
    middle = math.sqrt(rules.size[0] * rules.size[1]) or rules.size[1] / 2
    if middle * usual >= LEAST_IN_VIEW:
        return usual, Row(
            'views', f'{usual} and {usual // 2} px', f"the recipe's; boxes measure some {middle * usual:.0f} px"
        )
    side = 32 * round(1.5 * usual / 32)
    why = f'in {usual} px boxes would measure some {middle * usual:.0f} px; larger views take twice the time'
    return side, Row('views', f'{side} and {side // 2} px', why)


def steps_for(asked: Asked, recipe: Recipe, left: int, in_hours: int | None = None) -> tuple[int, Row]:
    """Optimizer steps.

    Args:
        asked: What the user says: hours, epochs or steps.
        recipe: The one chosen.
        left: Images, or tiles, to train on.
        in_hours: Steps that fit into the hours.

    Raises:
        UserError: No step fits.
    """
    epoch = left // recipe.batch
    if asked.steps is not None:
        steps, why = asked.steps, '--steps'
    elif asked.epochs is not None:
        steps, why = asked.epochs * epoch, f'{asked.epochs} epochs of {left} images'
    elif asked.hours is not None:
        if not in_hours or in_hours < 1:
            raise UserError(f'{asked.hours:g} hours are over before the first step; give more by --hours')
        steps, why = in_hours, f'what fits into {asked.hours:g} hours'
    else:
        steps = STEPS[recipe.name]
        why = f"the recipe's; each image is seen {steps * recipe.batch / left:.0f} times"
    if steps < STEPS[recipe.name] // 2:
        why += f'; the recipe has {STEPS[recipe.name]:,}, expect less'
    return steps, Row('steps', f'{steps:,} of {recipe.batch} images', why)


def interval_for(recipe: Recipe, steps: int) -> int:
    """Steps between two probes, and between two checkpoints: the recipe's, or a quarter of a short run."""
    usual = 100 if recipe.name.endswith('cpu') else 250
    return min(usual, -(-steps // 4))
