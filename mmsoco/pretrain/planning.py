"""Making a plan: looking at the images, deciding, and trying some steps."""

import math
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import joblib
import torch

from mmsoco.bars import passing_bar
from mmsoco.devices import require_usable
from mmsoco.errors import UserError, one_line
from mmsoco.images.lists import ImageList, check_listable, sample_names
from mmsoco.images.tiles import FewTiles
from mmsoco.pace import OutOfMemory, Pace, measure_pace
from mmsoco.pretrain.asked import Asked, Machine, Row
from mmsoco.pretrain.config import resolve, write_config
from mmsoco.pretrain.inspection import Facts, inspect_images, without_too_large
from mmsoco.pretrain.networks import Network, network_for
from mmsoco.pretrain.objects import Trial, rows_for, try_settings
from mmsoco.pretrain.plan import LIST, Plan
from mmsoco.pretrain.proposals import OVERLAP, Search, filter_for, filter_row, search_for
from mmsoco.pretrain.recipes import (
    HELD_OUT,
    STEPS,
    Recipe,
    Samples,
    batch_row,
    interval_for,
    recipe_for,
    smaller_parts,
    steps_for,
    view_for,
)
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.recall import Labels
from mmsoco.proposals.search.folder import Execution, Result, search_folder
from mmsoco.resources import named
from mmsoco.steps import duration

#: Seconds for all but search and training.
_REST = 60
#: Tiles of an image that are searched in a trial, at least: decoding it counts once for them.
_TILES = 8


def this_machine(device: str | None) -> Machine:
    """What there is to compute with, unless the user says cpu.

    Raises:
        UserError: There is a GPU that torch cannot use.
    """
    if device == 'cpu':
        return Machine(0, joblib.cpu_count())
    require_usable()
    return Machine(torch.cuda.device_count() if torch.cuda.is_available() else 0, joblib.cpu_count())


def make_plan(images: str, asked: Asked, say: Callable[[str], None]) -> tuple[Plan, list[str]]:
    """Look at the images, decide, and try some steps.

    Returns:
        The plan, and the images to train on.

    Raises:
        UserError: Something that was given is wrong.
    """
    begin = time.monotonic()
    machine = this_machine(asked.device)
    # What needs no look at the images comes first.
    network, network_row = network_for(asked, machine)
    labels = Labels.read(asked.objects) if asked.objects else None
    with passing_bar('look at the images', 'image') as on_progress:
        facts, sizes = inspect_images(images, machine.cores, on_progress, labels)
    check_listable(list(sizes), LIST)
    search, rules, proposal_rows, trials = _proposals(asked, labels, facts, sizes, machine.cores)
    if search.tile is None:
        facts, sizes = without_too_large(facts, sizes)
    if len(sizes) < 2:
        raise UserError(f'{images} has fewer than 2 images that can be used, and one is held out; give more, or parts')
    tiles = {name: search.count_tiles(size) for name, size in sizes.items()}
    samples = Samples.of(list(tiles.values()))
    recipe, recipe_row = recipe_for(samples, machine, asked.batch)
    view, view_row = view_for(recipe, rules, asked.view)
    say('How long will it take? Some steps are tried.')
    recipe, pace, search_seconds = _try_steps(facts, tiles, search, rules, recipe, network, view, asked)
    hours = None
    if asked.hours is not None:
        gone = time.monotonic() - begin
        hours = steps_within(3600 * asked.hours - gone - search_seconds - _REST, pace, recipe)
    steps, steps_row = steps_for(asked, recipe, samples.left, hours)
    plan = Plan(
        images, asked, facts, samples, recipe, network, search, rules, view, steps, pace, search_seconds, trials=trials
    )
    rows = [
        *facts_rows(facts),
        *proposal_rows,
        view_row,
        network_row,
        recipe_row,
        batch_row(recipe, asked.batch),
        steps_row,
        time_row(plan),
    ]
    return replace(plan, rows=rows), list(sizes)


def steps_within(seconds: float, pace: Pace, recipe: Recipe) -> int:
    """The steps that a time is enough for; 0 or less where it is for none."""
    steps = pace.steps_in(seconds, interval_for(recipe, 10**6))
    # A short run is probed more often.
    return pace.steps_in(seconds, interval_for(recipe, max(steps, 1)))


def facts_rows(facts: Facts) -> list[Row]:
    """What was found, as lines of the table."""
    shorter, longer = facts.sides
    kinds = ', '.join(f'{kind} {count}' for kind, count in facts.kinds.items())
    few = '' if facts.sampled == facts.found else f' of {facts.sampled} looked into'
    rows = [Row('images', f'{facts.usable:,} of {longer} x {shorter} px (median)', f'{kinds}{few}')]
    if facts.unreadable:
        name, why = next(iter(facts.unreadable.items()))
        rows.append(Row('unreadable', f'{len(facts.unreadable):,} passed over', f'such as {one_line(name)}: {why}'))
    if facts.duplicates:
        why = f'the same bytes as another file, such as {one_line(facts.duplicates[0])}'
        rows.append(Row('duplicates', f'{len(facts.duplicates):,} left out', why))
    if other := [kind for kind in facts.kinds if kind not in ('RGB', 'grey', 'RGB with alpha')]:
        why = f'read as RGB of 8 bits; {named("docs/own_pictures.md")} says how to keep channels and bits'
        rows.append(Row('kinds', ', '.join(other), why))
    return [*rows, *(Row('besides', note, '') for note in facts.notes)]


def time_row(plan: Plan) -> Row:
    """How long all will take."""
    total = plan.search_seconds + plan.train_seconds + _REST
    rate = plan.recipe.batch / plan.pace.step
    step = f'{plan.pace.step:.2g} s a step ({rate:.3g} images/s), as measured'
    why = f'{duration(plan.search_seconds)} of searching, {step}'
    return Row('time', f'about {duration(total)}', why)


def _proposals(
    asked: Asked, labels: Labels | None, facts: Facts, sizes: Mapping[str, tuple[int, int]], jobs: int
) -> tuple[Search, ProposalFilter, list[Row], list[Trial]]:
    """Search and filter: by labelled objects, or by their size."""
    if labels is not None:
        with passing_bar('try searches on labelled images', 'image') as on_progress:
            trials = try_settings(labels, facts, sizes, jobs, on_progress)
        return trials[0].search, trials[0].rules, rows_for(trials), trials
    size = asked.size or 'medium'
    search, search_row = search_for(size, facts)
    rules = filter_for(size, search.tile or facts.sides[0])
    return search, rules, [search_row, filter_row(rules, size, asked.size is not None)], []


def trial_sample(tiles: Mapping[str, int], needed: int) -> tuple[list[str], int]:
    """A sample of images for a trial.

    Args:
        tiles: Of each image.
        needed: Tiles to train on, which all images together have.

    Returns:
        The images, and how many tiles of each are searched at most.
    """
    usual = min(_TILES, sum(tiles.values()) // len(tiles))
    count, most = math.ceil(needed / usual / (1 - 1 / HELD_OUT)) + 2, _TILES
    while True:
        sample = sample_names(list(tiles), min(count, len(tiles)), seed=0)
        if Samples.of([FewTiles.count(tiles[name], most) for name in sample]).left >= needed:
            return sample, most
        if len(sample) < len(tiles):
            count *= 2
        else:
            most *= 2


def _try_steps(
    facts: Facts,
    tiles: Mapping[str, int],
    search: Search,
    rules: ProposalFilter,
    recipe: Recipe,
    network: Network,
    view: int,
    asked: Asked,
) -> tuple[Recipe, Pace, float]:
    """Search a sample and train on it for some steps: the recipe that fits the memory, its pace, and the search's."""
    # Some more than a step takes, as some images may fail.
    spare = 4 * min(_TILES, max(tiles.values()))
    sample, most = trial_sample(tiles, min(recipe.part + spare, Samples.of(list(tiles.values())).left))
    with tempfile.TemporaryDirectory(prefix='mmsoco-try-') as folder:
        raw, proposals, config = (Path(folder, name) for name in ('raw', 'proposals.arrow', 'config.py'))
        marks: list[tuple[float, int]] = []
        with passing_bar('try the search', 'image') as on_progress:

            def mark(result: Result) -> None:
                marks.append((time.monotonic(), result.done))
                on_progress(result.done, result.total)

            search_folder(
                facts.root,
                raw,
                search.parameters,
                Execution(joblib.cpu_count(), timeout=600),
                image_list=ImageList('sample', sample),
                tiling=None if search.tile is None else FewTiles(search.tile, OVERLAP, most),
                on_progress=mark,
            )
        search_seconds = search_time(marks, sum(tiles.values()))
        filter_folder(raw, proposals, rules)
        on = f'--device {asked.device}' if asked.device else ''
        on += f' --init {shlex.quote(asked.init)}' if asked.init else ''
        while True:
            # A process' part of a step is measured on one device.
            part = replace(recipe, batch=recipe.part, processes=1, accumulate=1)
            cfg = resolve(part, network, view, STEPS[recipe.name], facts.root, proposals)
            write_config(cfg, config, 'A trial of some steps')
            workers = cfg.train_dataloader.num_workers
            try:
                pace = measure_pace(config, arguments=on, workers=workers, processes=recipe.processes)
                return recipe, replace(pace, step=pace.step * recipe.accumulate), search_seconds
            except OutOfMemory:
                if asked.batch is not None:
                    raise
                recipe = smaller_parts(recipe)


def search_time(marks: Sequence[tuple[float, int]], images: int) -> float:
    """Seconds of a search, from one of some images; workers start once.

    Args:
        marks: When, and how many were done: at the start, then as it went on.
        images: Of the search, or tiles.
    """
    (start, _), *done = marks
    (first, before), (last, after) = done[0], done[-1]
    if after == before:
        return (last - start) * images / after
    return first - start + (images - before) * (last - first) / (after - before)
