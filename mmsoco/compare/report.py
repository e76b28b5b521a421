"""What a comparison found so far: figures of each cell, sentences, and the files that hold them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmsoco.compare.drawing import draw
from mmsoco.compare.plan import Comparison, Run
from mmsoco.compare.running import FAILED, RESULT
from mmsoco.compare.statistics import CONFIDENCE, FEW, FEWEST, LARGER, SAME, SMALLER, Spread, paired_difference
from mmsoco.files import atomic_path


def collect(comparison: Comparison, facts: dict) -> dict:
    """All that is known by now.

    Args:
        comparison: The settings.
        facts: What was found before the first run: weights, labels, leakage.

    Returns:
        For JSON: ``facts``, ``cells`` (see :func:`cell`), ``runs``, ``failed`` and ``summary``.
    """
    results: dict[Run, dict] = {}
    failed: dict[str, str] = {}
    for run in comparison.runs():
        folder = comparison.folder(run)
        if (folder / RESULT).is_file():
            results[run] = json.loads((folder / RESULT).read_text())
        elif (folder / FAILED).is_file():
            failed[run.name] = json.loads((folder / FAILED).read_text())['error']
    cells = [
        cell(comparison, results, schedule, fraction, init.name)
        for schedule in comparison.schedules
        for fraction in comparison.fractions
        for init in comparison.inits
    ]
    report = {**facts, 'cells': cells, 'failed': failed, 'runs': {run.name: found for run, found in results.items()}}
    return report | {'summary': summary(comparison, cells)}


def cell(comparison: Comparison, results: dict[Run, dict], schedule: float, fraction: float, init: str) -> dict:
    """An arm at one fraction and schedule, over its seeds.

    Returns:
        ``figures``, column -> mean, sd, count; ``difference``, column -> that to the baseline, for other
        arms; ``seeds`` that have a result, and how many are ``missing``; ``curve``, the steps with mean and sd
        of the main figure; ``sentence``.
    """

    def of(name: str) -> dict[int, dict]:
        runs = (Run(name, fraction, schedule, seed) for seed in range(comparison.seeds))
        return {run.seed: results[run] for run in runs if run in results}

    own, base = of(init), of(comparison.baseline)
    columns = list(dict.fromkeys(column for result in own.values() for column in result['figures']))
    figures = {column: Spread.of(list(_values(own, column).values())) for column in columns}
    differences = {}
    if init != comparison.baseline:
        differences = {column: paired_difference(_values(own, column), _values(base, column)) for column in columns}
    main = columns[0] if columns else None
    return {
        'init': init,
        'fraction': fraction,
        'schedule': schedule,
        'seeds': len(own),
        'missing': comparison.seeds - len(own),
        'figures': {column: asdict(spread) for column, spread in figures.items()},
        'difference': {column: difference.plain() for column, difference in differences.items()},
        'curve': _curve(list(own.values()), main),
        'sentence': _sentence(init, comparison.baseline, main, differences.get(main)),
    }


def _values(results: dict[int, dict], column: str) -> dict[int, float]:
    return {
        seed: result['figures'][column] for seed, result in results.items() if result['figures'].get(column) is not None
    }


def _curve(results: list[dict], column: str | None) -> list[dict]:
    """Mean and sd of a column at the steps that all runs were evaluated at."""
    if not results or column is None:
        return []
    points = [{point['step']: point for point in result['curve']} for result in results]
    found = []
    for step in sorted(set.intersection(*map(set, points))):
        values = [by_step[step][column] for by_step in points if by_step[step].get(column) is not None]
        seconds = [by_step[step]['seconds'] for by_step in points]
        if values:
            found.append({'step': step, 'seconds': sum(seconds) / len(seconds), **asdict(Spread.of(values))})
    return found


def _sentence(init: str, baseline: str, column: str | None, difference: Any) -> str:
    """Whether the difference of a cell is larger than the noise."""
    if difference is None or difference.mean is None:
        return ''
    by = f'{abs(difference.mean):.1f} {column} {"above" if difference.mean >= 0 else "below"} {baseline}'
    if difference.verdict == FEW:
        return f'{init} is {by}, but {FEWEST} seeds or more are needed to say whether that is more than noise.'
    interval = f'{CONFIDENCE:.0%} interval {difference.low:+.1f} to {difference.high:+.1f}'
    if difference.verdict == SAME:
        return f'{init} is {by}, which is not distinguishable from noise ({interval}).'
    return f'{init} is {by}, which is larger than the noise ({interval}).'


def summary(comparison: Comparison, cells: list[dict]) -> list[str]:
    """Sentences on the whole: in how many cells each arm differs, what of it chance may do, who catches up."""
    lines = []
    compared = [(cell, next(iter(cell['difference'].values()))) for cell in cells if cell['difference']]
    told = [(cell, found) for cell, found in compared if found['verdict'] != FEW]
    for init in dict.fromkeys(cell['init'] for cell, _ in compared):
        verdicts = [found['verdict'] for cell, found in compared if cell['init'] == init]
        words = [
            f'better than {comparison.baseline} in {verdicts.count(LARGER)}',
            f'worse in {verdicts.count(SMALLER)}',
            f'not distinguishable in {verdicts.count(SAME)}',
        ]
        if FEW in verdicts:
            words.append(f'too few seeds to say in {verdicts.count(FEW)}')
        lines.append(f'{init}: {", ".join(words)} of {_counted(len(verdicts), "cell")} (fraction x schedule).')
    if told:
        chance = (1 - CONFIDENCE) * len(told)
        strict = sum(found['p'] * len(told) < 1 - CONFIDENCE for _, found in told)
        were, differ = ('was', 'differs') if len(told) == 1 else ('were', 'differ')
        lines.append(
            f'{_counted(len(told), "cell")} {were} compared, each at {CONFIDENCE:.0%}: without any true difference '
            f'{chance:.1f} would be expected to look like one. Corrected for that (Bonferroni), {strict} {differ}.'
        )
    return lines + _catching_up(comparison, cells)


def _catching_up(comparison: Comparison, cells: list[dict]) -> list[str]:
    """When an arm was where the baseline ends, and how its lead changes from the shortest schedule to the longest."""
    lines = []
    by_place = {(cell['init'], cell['fraction'], cell['schedule']): cell for cell in cells}
    short, long = comparison.schedules[0], comparison.schedules[-1]
    for (init, fraction, schedule), found in by_place.items():
        base = by_place[comparison.baseline, fraction, schedule]
        if not found['difference'] or not base['curve'] or not found['curve']:
            continue
        end = base['curve'][-1]
        reached = next((point for point in found['curve'] if point['mean'] >= end['mean']), None)
        place = f'{fraction:.0%} of the labels, {schedule:g}x'
        if reached and reached['step'] < end['step']:
            share = reached['step'] / end['step']
            lines.append(
                f"{place}: {init} reaches {comparison.baseline}'s final {end['mean']:.1f} by {share:.0%} of the steps."
            )
        if schedule == long != short and by_place[init, fraction, short]['difference']:
            before = next(iter(by_place[init, fraction, short]['difference'].values()))['mean']
            after = next(iter(found['difference'].values()))['mean']
            if before is not None and after is not None:
                how = 'shrinks' if abs(after) < abs(before) else 'does not shrink'
                lines.append(
                    f'{fraction:.0%} of the labels: the difference of {init} to {comparison.baseline} is {before:+.1f} '
                    f'at {short:g}x and {after:+.1f} at {long:g}x; it {how} with time.'
                )
    return lines


def _counted(number: int, what: str) -> str:
    return f'{number} {what}{"" if number == 1 else "s"}'


def rows(comparison: Comparison, report: dict) -> list[list[str]]:
    """The table: a heading, and a row a cell that has a result."""
    columns = list(dict.fromkeys(column for found in report['cells'] for column in found['figures']))
    heading = ['schedule', 'labels', 'init', 'seeds', *columns, f'difference to {comparison.baseline}', 'verdict']
    table = [heading]
    for found in report['cells']:
        if not found['seeds'] and not found['missing']:
            continue
        figures = [_spread(found['figures'].get(column)) for column in columns]
        difference = next(iter(found['difference'].values()), None)
        seeds = f'{found["seeds"]}' + (f' of {comparison.seeds}' if found['missing'] else '')
        words, verdict = '', ''
        if difference and difference['mean'] is not None:
            interval = '' if difference['low'] is None else f' [{difference["low"]:+.1f}, {difference["high"]:+.1f}]'
            words, verdict = f'{difference["mean"]:+.1f}{interval}', difference['verdict']
        place = [f'{found["schedule"]:g}x', f'{100 * found["fraction"]:g} %']
        table.append([*place, found['init'], seeds, *figures, words, verdict])
    return table


def _spread(spread: dict | None) -> str:
    if spread is None or spread['mean'] is None:
        return '-'
    return f'{spread["mean"]:.1f}' + ('' if spread['sd'] is None else f' ± {spread["sd"]:.1f}')


def as_text(table: list[list[str]]) -> str:
    """The table in aligned columns."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return '\n'.join('  '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table)


def as_markdown(comparison: Comparison, report: dict) -> str:
    """The report to read."""
    heading, *others = rows(comparison, report)
    lines = [f'# {Path(comparison.config).name}: does pretraining help?', '']
    lines += [f'- {line}' for line in report['summary']] or ['Nothing is finished yet.']
    lines += ['', '| ' + ' | '.join(heading) + ' |', '|' + '---|' * len(heading)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in others]
    lines += [
        '',
        f'Mean ± standard deviation over seeds, in percent; the difference is of {_main(report) or "AP"}, paired by '
        f'seed, with its {CONFIDENCE:.0%} interval (t). Every arm has the same detector, schedule and data, in '
        'one order.',
        '',
    ]
    if sentences := [found for found in report['cells'] if found['sentence']]:
        lines += ['## Cell by cell', '']
        lines += [
            f'- {found["schedule"]:g}x, {100 * found["fraction"]:g} % of the labels: {found["sentence"]}'
            for found in sentences
        ]
        lines += ['']
    lines += ['![AP by labels and over training](results.png)', '', '## What was compared', '']
    for name, arm in report.get('inits', {}).items():
        only = ', '.join(f'`{key}={value}`' for key, value in arm['only'].items())
        share = f', {arm["loaded"]:.0%} of the parameters loaded' if arm['file'] else ''
        file = f'`{arm["file"]}`, SHA-256 {arm["sha256"][:12]}' if arm['file'] else 'random weights'
        lines.append(f'- {name}: {file}{share}{"; only here " + only if only else ""}')
        if name in report.get('leakage', {}):
            lines.append(f'  - evaluation images in its pretraining: {report["leakage"][name]["words"]}')
    lines += [f'- {note}' for note in report.get('notes', ())]
    for place, count in report.get('labels', {}).items():
        lines.append(f'- {place}: {count["images"]} images, {count["boxes"]} boxes')
    if report['failed']:
        lines += ['', '## Failed', '', *(f'- {name}: {words}' for name, words in report['failed'].items())]
    return '\n'.join(lines) + '\n'


def _main(report: dict) -> str | None:
    return next((column for found in report['cells'] for column in found['figures']), None)


def write(comparison: Comparison, report: dict) -> None:
    """Write ``results.json``, ``results.md`` and ``results.png``."""
    for name, text in (('json', json.dumps(report, indent=1)), ('md', as_markdown(comparison, report))):
        with atomic_path(comparison.out / f'results.{name}') as temporary:
            temporary.write_text(text)
    if _main(report):
        with atomic_path(comparison.out / 'results.png') as temporary:
            draw(comparison, report, _main(report), temporary)
