"""What a comparison found so far: figures of each cell, sentences, and the files that hold them."""

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

from mmsoco.compare.drawing import draw
from mmsoco.compare.meanwhile import meanwhile
from mmsoco.compare.plan import Comparison, Run
from mmsoco.compare.running import FAILED, RESULT
from mmsoco.compare.statistics import (
    CONFIDENCE,
    FEW,
    FEWEST,
    LARGER,
    RESOLUTION,
    SAME,
    SMALLER,
    Spread,
    paired_difference,
)
from mmsoco.files import atomic_path

#: The verdict while a planned seed is neither done nor failed: to look and to stop at what pleases finds differences.
PENDING = 'seeds are missing'


def collect(comparison: Comparison, facts: dict) -> dict:
    """All that is known by now.

    Args:
        comparison: The settings.
        facts: What was found before the first run: weights, labels, leakage.

    Returns:
        For JSON: ``facts``, ``cells`` (see :func:`cell`), ``runs``, ``failed``, ``summary`` and ``meanwhile`` (see
        :func:`~mmsoco.compare.meanwhile.meanwhile`).
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
        cell(comparison, results, failed, schedule, fraction, init.name)
        for schedule in comparison.schedules
        for fraction in comparison.fractions
        for init in comparison.inits
    ]
    report = {**facts, 'cells': cells, 'failed': failed, 'runs': {run.name: found for run, found in results.items()}}
    return report | {
        'summary': summary(comparison, cells, results),
        'meanwhile': meanwhile(comparison, results, failed),
    }


def cell(
    comparison: Comparison,
    results: dict[Run, dict],
    failed: Collection[str],
    schedule: float,
    fraction: float,
    init: str,
) -> dict:
    """An arm at one fraction and schedule, over its seeds.

    Returns:
        ``figures``, column -> mean, sd, count; ``difference``, column -> that to the baseline, for other
        arms, whose verdict waits until all seeds are over; ``seeds`` that have a result, and how many are
        ``missing``; ``curve``, the steps with mean and sd of the main figure; ``sentence``.
    """
    arms = dict.fromkeys((init, comparison.baseline))
    runs = {name: [Run(name, fraction, schedule, seed) for seed in range(comparison.seeds)] for name in arms}
    own, base = (
        {run.seed: results[run] for run in runs[name] if run in results} for name in (init, comparison.baseline)
    )
    lost = {name: sum(run.name in failed for run in runs[name]) for name in arms}
    pending = any(run not in results and run.name not in failed for name in arms for run in runs[name])
    columns = list(dict.fromkeys(column for result in own.values() for column in result['figures']))
    figures = {column: Spread.of(list(_values(own, column).values())) for column in columns}
    differences = {}
    if init != comparison.baseline:
        differences = {column: paired_difference(_values(own, column), _values(base, column)) for column in columns}
    plain = {column: found.plain() | ({'verdict': PENDING} if pending else {}) for column, found in differences.items()}
    return {
        'init': init,
        'fraction': fraction,
        'schedule': schedule,
        'seeds': len(own),
        'missing': comparison.seeds - len(own),
        'figures': {column: asdict(spread) for column, spread in figures.items()},
        'difference': plain,
        'curve': _curve(list(own.values()), columns[0] if columns else None),
        'sentence': ' '.join(_sentence(comparison, init, column, plain[column], lost) for column in _judged(plain)),
    }


def _judged(columns: Iterable[str]) -> list[str]:
    """The columns whose differences are told: box AP and mask AP; another metric's first one."""
    columns = list(columns)
    return [column for column in columns if column in ('box AP', 'mask AP')] or columns[:1]


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


def _sentence(comparison: Comparison, init: str, column: str, difference: dict, lost: dict[str, int]) -> str:
    """Whether the difference of a cell is larger than the noise, and over which seeds."""
    if difference['mean'] is None:
        return ''
    where = 'above' if difference['mean'] >= 0 else 'below'
    by = f'{init} is {abs(difference["mean"]):.1f} {column} {where} {comparison.baseline}'
    over = ''.join(f'; {count} of {name} failed' for name, count in lost.items() if count)
    over = f'over {difference["count"]} of {comparison.seeds} seeds{over}'
    if difference['verdict'] == PENDING:
        return f'{by} so far, {over}; the others are not in.'
    if difference['verdict'] == FEW:
        return f'{by}, but {FEWEST} seeds or more are needed to say whether that is more than noise ({over}).'
    how = 'not distinguishable from noise' if difference['verdict'] == SAME else 'larger than the noise'
    return f'{by}, which is {how} ({_interval(difference)}, {over}).'


def _interval(difference: dict) -> str:
    return f'{CONFIDENCE:.0%} interval {difference["low"]:+.1f} to {difference["high"]:+.1f}'


def summary(comparison: Comparison, cells: list[dict], results: dict[Run, dict]) -> list[str]:
    """Sentences on the whole: in how many cells each arm differs, what of it chance may do, who catches up."""
    lines = []
    compared = [
        (cell['init'], column, cell['difference'][column]) for cell in cells for column in _judged(cell['difference'])
    ]
    told = [found for _, _, found in compared if found['verdict'] not in (FEW, PENDING)]
    for init, column in dict.fromkeys((init, column) for init, column, _ in compared):
        verdicts = [found['verdict'] for *place, found in compared if place == [init, column]]
        words = [
            f'better than {comparison.baseline} in {verdicts.count(LARGER)}',
            f'worse in {verdicts.count(SMALLER)}',
            f'not distinguishable in {verdicts.count(SAME)}',
            *(f'{verdict} in {verdicts.count(verdict)}' for verdict in (FEW, PENDING) if verdict in verdicts),
        ]
        lines.append(
            f'{init}, {column}: {", ".join(words)} of {_counted(len(verdicts), "cell")} (fraction x schedule).'
        )
    if told:
        chance = (1 - CONFIDENCE) * len(told)
        strict = sum(found['p'] * len(told) < 1 - CONFIDENCE for found in told)
        were, differ = ('was', 'differs') if len(told) == 1 else ('were', 'differ')
        lines.append(
            f'{_counted(len(told), "difference")} {were} tested, each at {CONFIDENCE:.0%}: without any true one '
            f'{chance:.1f} would be expected to look like one. Corrected for that (Bonferroni), {strict} {differ}.'
        )
    for cell in cells:
        lines += _reaching(comparison, cell, cells)
    if len(comparison.schedules) > 1:
        for fraction in comparison.fractions:
            for init in comparison.inits:
                lines += _catching_up(comparison, results, cells, fraction, init.name)
    return lines


def _reaching(comparison: Comparison, cell: dict, cells: list[dict]) -> list[str]:
    """When an arm was where the baseline ends, and stayed there."""
    columns = _judged(cell['difference'])
    base = _cell(cells, comparison.baseline, cell['fraction'], cell['schedule'])['curve']
    if not columns or cell['difference'][columns[0]]['verdict'] not in (LARGER, SAME) or not base:
        return []
    end = base[-1]
    below = [i for i, point in enumerate(cell['curve']) if point['mean'] < end['mean']]
    stays = cell['curve'][below[-1] + 1 if below else 0 :]
    if not stays or stays[0]['step'] >= end['step']:
        return []
    return [
        f"{_labels(cell['fraction'])}, {cell['schedule']:g}x: {cell['init']} reaches {comparison.baseline}'s final "
        f'{end["mean"]:.1f} by {stays[0]["step"] / end["step"]:.0%} of the steps.'
    ]


def _catching_up(
    comparison: Comparison, results: dict[Run, dict], cells: list[dict], fraction: float, init: str
) -> list[str]:
    """How an arm's lead changes from the shortest schedule to the longest, seed by seed."""
    ends = comparison.schedules[0], comparison.schedules[-1]
    found = [_cell(cells, init, fraction, schedule)['difference'] for schedule in ends]
    lines = []
    for column in _judged(found[0]):
        if any(one.get(column, {'verdict': PENDING})['verdict'] == PENDING for one in found):
            continue
        leads = []
        for schedule in ends:
            own, base = (
                _values({run.seed: results[run] for run in results if run[:3] == (name, fraction, schedule)}, column)
                for name in (init, comparison.baseline)
            )
            leads.append({seed: own[seed] - base[seed] for seed in own.keys() & base.keys()})
        # A lead is of two rounded figures.
        change = paired_difference(leads[1], leads[0], RESOLUTION * 2**0.5).plain()
        if change['mean'] is None:
            continue
        before, after = (one[column]['mean'] for one in found)
        how = {LARGER: 'it rises with time', SMALLER: 'it falls with time', FEW: f'{FEW} to say whether it changes'}
        words = how.get(change['verdict'], 'its change is not distinguishable from noise')
        if change['verdict'] != FEW:
            words += f' (by {change["mean"]:+.1f}, {_interval(change)}, {_counted(change["count"], "seed")})'
        lines.append(
            f'{_labels(fraction)}: the difference of {init} to {comparison.baseline} in {column} is {before:+.1f} at '
            f'{ends[0]:g}x and {after:+.1f} at {ends[1]:g}x; {words}.'
        )
    return lines


def _cell(cells: list[dict], *place: str | float) -> dict:
    return next(cell for cell in cells if (cell['init'], cell['fraction'], cell['schedule']) == place)


def _labels(fraction: float) -> str:
    return f'{100 * fraction:g} % of the labels'


def _counted(number: int, what: str) -> str:
    return f'{number} {what}{"" if number == 1 else "s"}'


def rows(comparison: Comparison, report: dict) -> list[list[str]]:
    """The table: a heading, and a row a cell that has a result."""
    columns = list(dict.fromkeys(column for found in report['cells'] for column in found['figures']))
    judged = _judged(columns) or ['AP']
    heading = ['schedule', 'labels', 'init', 'seeds', *columns]
    table = [heading + [words for column in judged for words in (f'{column} - {comparison.baseline}', 'verdict')]]
    for found in report['cells']:
        if not found['seeds'] and not found['missing']:
            continue
        figures = [_spread(found['figures'].get(column)) for column in columns]
        seeds = f'{found["seeds"]}' + (f' of {comparison.seeds}' if found['missing'] else '')
        differences = [words for column in judged for words in _difference(found['difference'].get(column))]
        place = [f'{found["schedule"]:g}x', f'{100 * found["fraction"]:g} %']
        table.append([*place, found['init'], seeds, *figures, *differences])
    return table


def _difference(difference: dict | None) -> tuple[str, str]:
    """A difference with its interval; and the verdict."""
    words = _interval_of(difference)
    return words, difference['verdict'] if words else ''


def _interval_of(difference: dict | None) -> str:
    if difference is None or difference['mean'] is None:
        return ''
    interval = '' if difference['low'] is None else f' [{difference["low"]:+.1f}, {difference["high"]:+.1f}]'
    return f'{difference["mean"]:+.1f}{interval}'


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
    lines += [f'- {line}' for line in report['summary']] or ['No comparison is finished yet.']
    lines += ['', '| ' + ' | '.join(heading) + ' |', '|' + '---|' * len(heading)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in others]
    lines += [
        '',
        'Mean ± standard deviation over seeds, in percent; differences are paired by seed, with their '
        f'{CONFIDENCE:.0%} interval (t). Every arm has the same detector, schedule and data, in one order'
        f'{", but for what is said below to be of one arm only" if any(comparison.only.values()) else ""}. '
        'The interval is over seeds of fine-tuning and draws of labels alone: another seed of a pretraining, or other '
        'evaluation images, may give another difference.',
        '',
    ]
    if report['meanwhile']:
        lines += [
            '## Half-way',
            '',
            'Of arms that have begun, at the last step at which all of them were evaluated. The intervals are no',
            'verdict: to look and to stop at what pleases finds differences that are not there.',
        ]
        lines += ['', *(f'- {_half_way(found)}' for found in report['meanwhile']), '']
    if sentences := [found for found in report['cells'] if found['sentence']]:
        lines += ['## Cell by cell', '']
        lines += [f'- {found["schedule"]:g}x, {_labels(found["fraction"])}: {found["sentence"]}' for found in sentences]
        lines += ['']
    lines += [f'![AP by labels and over training]({comparison.report}.png)', '', '## What was compared', '']
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


def _half_way(found: dict) -> str:
    """Where the arms of a cell stand, beside each other."""
    words = []
    for name, arm in found['arms'].items():
        ((column, spread),) = arm['figures'].items()
        more = _interval_of(arm['difference'].get(column))
        words.append(f'{name} {_spread(spread)}' + (f' ({more})' if more else ''))
    where = f'{found["schedule"]:g}x, {_labels(found["fraction"])}, {column}'
    return f'{where} after {found["step"]} steps: {", ".join(words)}'


def _main(report: dict) -> str | None:
    return next((column for found in report['cells'] for column in found['figures']), None)


def write(comparison: Comparison, report: dict, picture: bool = True) -> None:
    """Write the report as JSON, Markdown and, where asked for, PNG, ``results`` unless the comparison names it."""
    for name, text in (('json', json.dumps(report, indent=1)), ('md', as_markdown(comparison, report))):
        with atomic_path(comparison.out / f'{comparison.report}.{name}') as temporary:
            temporary.write_text(text, 'utf-8')
    if picture and _main(report):
        with atomic_path(comparison.out / f'{comparison.report}.png') as temporary:
            draw(comparison, report, _main(report), temporary)
