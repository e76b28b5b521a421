"""A comparison as a figure: AP by labels, and over the time of training."""

from pathlib import Path

from matplotlib.figure import Figure

from mmsoco.compare.plan import Comparison

#: Of Okabe and Ito, to be told apart by all eyes; the baseline is grey.
_COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
_GREY = '#777777'


def draw(comparison: Comparison, report: dict, column: str, path: Path) -> None:
    """Draw a panel a schedule of AP by fraction, and below a panel a fraction of AP over the steps.

    Args:
        comparison, report: See :func:`~mmsoco.compare.report.collect`.
        column: What is drawn.
        path: A PNG.
    """
    others = [init.name for init in comparison.inits if init.name != comparison.baseline]
    color = {comparison.baseline: _GREY} | {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(others)}
    wide = max(len(comparison.schedules), len(comparison.fractions))
    figure = Figure(figsize=(max(7.5, 3.6 * wide), 7.2), layout='constrained')
    above, below = figure.subfigures(2, 1)
    top = above.subplots(1, len(comparison.schedules), sharey=True, squeeze=False)[0]
    for axes, schedule in zip(top, comparison.schedules, strict=True):
        _by_fraction(axes, comparison, report, schedule, color)
    top[0].set_ylabel(f'{column} at the end, %')
    bottom = below.subplots(1, len(comparison.fractions), sharey=True, squeeze=False)[0]
    for axes, fraction in zip(bottom, comparison.fractions, strict=True):
        _over_time(axes, comparison, report, fraction, color)
    bottom[0].set_ylabel(f'{column}, %')
    handles, names = top[0].get_legend_handles_labels()
    if handles:
        # As many beside each other as there is room for: a character takes some 0.09 inch, a handle 0.6.
        columns = int(figure.get_figwidth() // (0.6 + 0.09 * max(map(len, names))))
        figure.legend(handles, names, loc='outside upper center', ncols=max(1, columns), frameon=False)
    figure.savefig(path, dpi=150, format='png')


def _by_fraction(axes, comparison: Comparison, report: dict, schedule: float, color: dict) -> None:
    places = range(len(comparison.fractions))
    for number, init in enumerate(comparison.inits):
        cells = [
            next(c for c in report['cells'] if (c['init'], c['fraction'], c['schedule']) == (init.name, f, schedule))
            for f in comparison.fractions
        ]
        spreads = [next(iter(c['figures'].values()), None) for c in cells]
        # Beside each other, so that whiskers do not hide each other.
        shift = 0.06 * (number - (len(comparison.inits) - 1) / 2)
        points = [
            (x + shift, s['mean'], s['sd'] or 0) for x, s in zip(places, spreads, strict=True) if s and s['count']
        ]
        if points:
            x, y, error = zip(*points, strict=True)
            axes.errorbar(x, y, error, color=color[init.name], label=init.name, marker='o', capsize=4, lw=1.8)
    axes.set_xticks(list(places), [f'{100 * fraction:g} %' for fraction in comparison.fractions])
    axes.set_xlim(-0.5, len(comparison.fractions) - 0.5)
    axes.set_title(f'{schedule:g}x schedule', fontsize=10)
    axes.set_xlabel('training images with labels')
    _tidy(axes)


def _over_time(axes, comparison: Comparison, report: dict, fraction: float, color: dict) -> None:
    styles = ('-', '--', ':', '-.')
    for cell in report['cells']:
        if cell['fraction'] != fraction or not cell['curve']:
            continue
        number = comparison.schedules.index(cell['schedule'])
        steps = [point['step'] for point in cell['curve']]
        means = [point['mean'] for point in cell['curve']]
        style = styles[number % len(styles)]
        axes.plot(steps, means, style, color=color[cell['init']], marker='o', ms=3.5, lw=1.6)
        spread = [point['sd'] or 0 for point in cell['curve']]
        low, high = ([m + sign * s for m, s in zip(means, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(steps, low, high, color=color[cell['init']], alpha=0.12, lw=0)
        if cell['init'] == comparison.baseline:
            axes.axhline(means[-1], color=_GREY, lw=0.8, ls=style, alpha=0.7)
    if len(comparison.schedules) > 1:
        for number, schedule in enumerate(comparison.schedules):
            axes.plot([], [], styles[number % len(styles)], color='black', lw=1.2, label=f'{schedule:g}x')
        axes.legend(frameon=False, fontsize=8, loc='best')
    axes.set_title(f'{100 * fraction:g} % of the labels', fontsize=10)
    axes.set_xlabel(f'steps (thin line: where {comparison.baseline} ends)', fontsize=9)
    _tidy(axes)


def _tidy(axes) -> None:
    axes.grid(axis='y', color='#dddddd', lw=0.8)
    axes.set_axisbelow(True)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
