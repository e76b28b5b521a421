"""Where arms stand that are not finished: their figures at the last step at which all of them were evaluated."""

import json
from collections.abc import Collection
from dataclasses import asdict
from itertools import product

from mmsoco.compare.plan import Comparison, Run
from mmsoco.compare.statistics import Spread, paired_difference


def meanwhile(comparison: Comparison, results: dict[Run, dict], failed: Collection[str]) -> list[dict]:
    """The cells that are compared half-way, since runs of them are under way.

    Args:
        comparison: The settings.
        results: Of the runs that are over.
        failed: The names of those that failed.

    Returns:
        A dict for a schedule and fraction: its ``step``, and in ``arms``, by name, the ``values`` by seed, ``figures``
        and ``difference`` as a cell of :func:`~mmsoco.compare.report.collect` has them, of the main column alone and
        without a verdict. An arm with a seed that failed or has not been evaluated is left out, and so is a cell
        without the baseline and another arm that is not finished.
    """
    found = []
    for schedule, fraction in product(comparison.schedules, comparison.fractions):
        runs = {
            init.name: [Run(init.name, fraction, schedule, seed) for seed in range(comparison.seeds)]
            for init in comparison.inits
        }
        curves = {
            name: [_curve(comparison, results, run) for run in arm]
            for name, arm in runs.items()
            if not any(run.name in failed for run in arm)
        }
        curves = {name: arm for name, arm in curves.items() if all(arm)}
        unfinished = [name for name in curves if not all(run in results for run in runs[name])]
        if comparison.baseline not in curves or len(curves) < 2 or not unfinished:
            continue
        if steps := set.intersection(*(set(curve) for arm in curves.values() for curve in arm)):
            found.append({'schedule': schedule, 'fraction': fraction, **_at(max(steps), curves, comparison.baseline)})
    return found


def _curve(comparison: Comparison, results: dict[Run, dict], run: Run) -> dict[int, dict]:
    """Step -> figures, of a run's evaluations so far that gave any."""
    path = comparison.folder(run) / 'training' / 'curve.json'
    points = []
    if run in results:
        points = results[run]['curve']
    elif path.is_file():
        points = json.loads(path.read_text())
    figures = {point['step']: {k: v for k, v in point.items() if k not in ('step', 'seconds')} for point in points}
    return {step: found for step, found in figures.items() if found}


def _at(step: int, curves: dict[str, list[dict]], baseline: str) -> dict:
    column = next(iter(curves[baseline][0][step]))
    arms, values = {}, {}
    for name, arm in curves.items():
        reached = {seed: curve[step].get(column) for seed, curve in enumerate(arm)}
        values[name] = {seed: value for seed, value in reached.items() if value is not None}
    for name, own in values.items():
        arms[name] = {'values': own, 'figures': {column: asdict(Spread.of([*own.values()]))}, 'difference': {}}
        if name != baseline:
            arms[name]['difference'][column] = asdict(paired_difference(own, values[baseline]))
    return {'step': step, 'arms': arms}
