"""Making a plan: looking at the images, deciding, and trying some steps."""

import math
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import joblib
import torch
from tqdm import tqdm

from mmsoco.devices import require_usable
from mmsoco.errors import one_line
from mmsoco.images.lists import ImageList, sample_names
from mmsoco.pace import STEPS as TRIED
from mmsoco.pace import OutOfMemory, Pace, measure_pace
from mmsoco.pretrain import choice
from mmsoco.pretrain.choice import Asked, Machine, Network, Recipe, Row, Search
from mmsoco.pretrain.config import resolve, write_config
from mmsoco.pretrain.inspection import Facts, inspect_images
from mmsoco.pretrain.objects import Trial, rows_for, try_settings
from mmsoco.pretrain.plan import Plan
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.search.folder import Execution, search_folder
from mmsoco.steps import duration

#: Seconds for all but search and training.
_REST = 60


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
    machine = this_machine(asked.device)
    # What needs no look at the images comes first.
    network, network_row = choice.network_for(asked, machine)
    with _bar('look at the images', 'image') as on_progress:
        facts, names = inspect_images(images, machine.cores, on_progress)
    search, rules, proposal_rows, trials = _proposals(asked, facts, names, machine.cores)
    samples = facts.usable * tiles_an_image(facts, search)
    recipe, recipe_row = choice.recipe_for(samples, machine, asked.batch)
    view, view_row = choice.view_for(recipe, rules, asked.view)
    say(f'How long will it take? {TRIED} steps are tried.')
    recipe, pace, search_seconds = _try_steps(facts, names, search, rules, recipe, network, view, asked)
    hours = None
    if asked.hours is not None:
        interval = choice.interval_for(recipe, 10**6)
        hours = pace.steps_in(3600 * asked.hours - search_seconds - _REST, interval)
    steps, steps_row = choice.steps_for(asked, recipe, samples, hours)
    plan = Plan(images, asked, facts, recipe, network, search, rules, view, steps, pace, search_seconds, trials=trials)
    batch_row = choice.batch_row(recipe, asked.batch)
    rows = [*facts_rows(facts), *proposal_rows, view_row, network_row, recipe_row, batch_row, steps_row, time_row(plan)]
    return replace(plan, rows=rows), names


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
        why = 'read as RGB of 8 bits; docs/own_pictures.md says how to keep channels and bits'
        rows.append(Row('kinds', ', '.join(other), why))
    return rows


def time_row(plan: Plan) -> Row:
    """How long all will take."""
    total = plan.search_seconds + plan.train_seconds + _REST
    rate = plan.recipe.batch / plan.pace.step
    step = f'{plan.pace.step:.2g} s a step ({rate:.3g} images/s), as measured'
    why = f'{duration(plan.search_seconds)} of searching, {step}'
    return Row('time', f'about {duration(total)}', why)


def _proposals(
    asked: Asked, facts: Facts, names: Sequence[str], jobs: int
) -> tuple[Search, ProposalFilter, list[Row], list[Trial]]:
    """Search and filter: by labelled objects, or by their size."""
    if asked.objects:
        with _bar('try searches on labelled images', 'search') as on_progress:
            trials = try_settings(asked.objects, facts, names, jobs, on_progress)
        return trials[0].search, trials[0].rules, rows_for(trials), trials
    size = asked.size or 'medium'
    search, search_row = choice.search_for(size, facts)
    rules = choice.filter_for(size, search.tile or facts.sides[0])
    return search, rules, [search_row, choice.filter_row(rules, size, asked.size is not None)], []


def tiles_an_image(facts: Facts, search: Search) -> int:
    """Windows of the median image; 1 where whole images are searched."""
    return 1 if search.tile is None else len(list(search.tiling.windows(*facts.sides)))


def _try_steps(
    facts: Facts,
    names: Sequence[str],
    search: Search,
    rules: ProposalFilter,
    recipe: Recipe,
    network: Network,
    view: int,
    asked: Asked,
) -> tuple[Recipe, Pace, float]:
    """Search a sample and train on it for some steps: the recipe that fits the memory, its pace, and the search's."""
    enough = (
        math.ceil((recipe.batch / recipe.processes + 4) / tiles_an_image(facts, search) / (1 - 1 / choice.HELD_OUT)) + 2
    )
    sample = sample_names(names, min(enough, len(names)), seed=0)
    with tempfile.TemporaryDirectory(prefix='mmsoco-try-') as folder:
        marks: list[tuple[float, int]] = []
        search_folder(
            facts.root,
            Path(folder, 'raw'),
            search.parameters,
            Execution(joblib.cpu_count(), timeout=600),
            image_list=ImageList('sample', sample),
            tiling=search.tiling,
            on_progress=lambda result: marks.append((time.monotonic(), result.done)),
        )
        search_seconds = search_time(marks, len(names) * tiles_an_image(facts, search))
        filter_folder(Path(folder, 'raw'), Path(folder, 'proposals.arrow'), rules)
        on = f'--device {asked.device}' if asked.device else ''
        on += f' --init {shlex.quote(asked.init)}' if asked.init else ''
        while True:
            # A process' part of a step is measured on one device.
            part = replace(recipe, batch=recipe.batch // recipe.processes // recipe.accumulate, processes=1)
            cfg = resolve(part, network, view, choice.STEPS[recipe.name], facts.root, Path(folder, 'proposals.arrow'))
            write_config(cfg, Path(folder, 'config.py'), 'A trial of some steps')
            try:
                pace = measure_pace(Path(folder, 'config.py'), arguments=on)
                return recipe, replace(pace, step=pace.step * recipe.accumulate), search_seconds
            except OutOfMemory:
                if asked.batch is not None:
                    raise
                recipe = choice.smaller_batch(recipe)


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


@contextmanager
def _bar(words: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, as a function of what is done of how many."""
    with tqdm(desc=words, unit=unit, dynamic_ncols=True, leave=False, disable=None) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield on_progress
