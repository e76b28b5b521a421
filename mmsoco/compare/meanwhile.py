"""Where arms stand that are not finished: their figures at the last step at which all of them were evaluated."""

import json
from dataclasses import asdict
from itertools import product

from mmsoco.compare.plan import Comparison, Run
from mmsoco.compare.statistics import Spread, paired_difference


def meanwhile(comparison: Comparison, results: dict[Run, dict]) -> list[dict]:
    """The cells that are compared half-way, since a run of them has no result yet.

    Args:
        comparison: The settings.
        results: Of the runs that are over.

    Returns:
        A dict for a schedule and fraction: its ``step``, and in ``arms``, by name, ``figures`` and ``difference`` as a
        cell of :func:`~mmsoco.compare.report.collect` has them, of the main column alone and without a verdict. An
        arm of which a seed has not been evaluated is left out, and so is a cell without the baseline and another arm.
    """
    found = []
    for schedule, fraction in product(comparison.schedules, comparison.fractions):
        runs = {
            init.name: [Run(init.name, fraction, schedule, seed) for seed in range(comparison.seeds)]
            for init in comparison.inits
        }
        if all(run in results for arm in runs.values() for run in arm):
            continue
        curves = {name: [_curve(comparison, results, run) for run in arm] for name, arm in runs.items()}
        curves = {name: arm for name, arm in curves.items() if all(arm)}
        if comparison.baseline not in curves or len(curves) < 2:
            continue
        if steps := set.intersection(*(set(curve) for arm in curves.values() for curve in arm)):
            found.append({'schedule': schedule, 'fraction': fraction, **_at(max(steps), curves, comparison.baseline)})
    return found


def _curve(comparison: Comparison, results: dict[Run, dict], run: Run) -> dict[int, dict]:
    """Step -> figures, of a run's evaluations so far."""
    path = comparison.folder(run) / 'training' / 'curve.json'
    points = []
    if run in results:
        points = results[run]['curve']
    elif path.is_file():
        points = json.loads(path.read_text())
    return {point['step']: {k: v for k, v in point.items() if k not in ('step', 'seconds')} for point in points}


def _at(step: int, curves: dict[str, list[dict]], baseline: str) -> dict:
    column = next(iter(curves[baseline][0][step]))
    arms, values = {}, {}
    for name, arm in curves.items():
        reached = {seed: curve[step].get(column) for seed, curve in enumerate(arm)}
        values[name] = {seed: value for seed, value in reached.items() if value is not None}
    for name, own in values.items():
        arms[name] = {'figures': {column: asdict(Spread.of([*own.values()]))}, 'difference': {}}
        if name != baseline:
            arms[name]['difference'][column] = asdict(paired_difference(own, values[baseline]))
    return {'step': step, 'arms': arms}
