"""Plots as SVG that takes its colours from the page, and images as text, so that a page needs no other file."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from mmsoco.visualization.proposals import Statistics

#: What matplotlib is told, and the page's own colour that it becomes.
_COLORS = {
    '#000001': 'var(--ink)',
    '#000002': 'var(--muted)',
    '#000003': 'var(--line)',
    '#0000a1': 'var(--first)',
    '#0000b1': 'var(--second)',
}
INK, MUTED, LINE, FIRST, SECOND = _COLORS
_STYLE = {
    'svg.fonttype': 'none',
    'font.size': 9,
    'axes.edgecolor': LINE,
    'axes.labelcolor': MUTED,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
    'xtick.labelsize': 8.5,
    'ytick.labelsize': 8.5,
    'legend.labelcolor': INK,
    'legend.fontsize': 8.5,
    'legend.frameon': False,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': LINE,
    'grid.linewidth': 0.6,
    'lines.linewidth': 1.6,
}


@dataclass(frozen=True)
class Curve:
    """A line of a plot: (x, y) points, or one height over all of it."""

    label: str
    points: Sequence[tuple[float, float]] | float
    color: str = FIRST
    style: str = '-'


def plot_curves(name: str, curves: Sequence[Curve], y_label: str, from_zero: bool = True) -> str:
    """Curves over the optimizer steps, as SVG.

    Args:
        name: What the SVG's own names begin with: no two on a page may be alike.
        curves: What is drawn.
        y_label: Of the vertical axis.
        from_zero: Begin it at 0, where nothing is less.
    """
    with rc_context(_STYLE):
        figure, axes = _axes()
        for curve in curves:
            style = dict(color=curve.color, linestyle=curve.style, label=curve.label)
            if isinstance(curve.points, float | int):
                axes.axhline(curve.points, linewidth=1.2, **style)
            else:
                marker = '.' if len(curve.points) < 30 else None
                # Not clipped, as a point at 0 would be cut in half.
                axes.plot(*zip(*curve.points, strict=True), marker=marker, clip_on=False, **style)
        axes.set(xlabel='optimizer step', ylabel=y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        low, high = axes.get_ylim()
        axes.set_ylim(0 if from_zero and low > -0.05 * high else low, high)
        _add_legend(axes)
        return _svg(figure, name)


def plot_distributions(name: str, statistics: Mapping[str, Statistics], what: str) -> str:
    """How many boxes images have (``counts``), or how large boxes are (``sizes``), of some sources, as SVG."""
    with rc_context(_STYLE):
        figure, axes = _axes()
        for (label, part), color in zip(statistics.items(), (SECOND, FIRST), strict=False):
            style = dict(histtype='stepfilled', facecolor=color, edgecolor=color, alpha=0.55, label=label)
            if what == 'counts':
                counts = np.concatenate([one.counts for one in statistics.values()]).clip(1)
                # On an even scale, many boxes would press few ones into a corner.
                wide = counts.max() > 10 * counts.min()
                edges = (np.geomspace if wide else np.linspace)(counts.min(), counts.max() + 1, 30)
                axes.hist(
                    part.counts.clip(1), edges, weights=np.full(len(part.counts), 100 / len(part.counts)), **style
                )
                axes.set(xlabel='boxes an image', ylabel='% of the images', xscale='log' if wide else 'linear')
                if wide:
                    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                    axes.xaxis.set_minor_formatter('')
                axes.xaxis.set_major_formatter('{x:g}')
            else:
                edges = np.linspace(0, 1, 41)
                shares = 100 * part.sizes.reshape(40, -1).sum(axis=1) / max(part.sizes.sum(), 1)
                axes.hist(edges[:-1], edges, weights=shares, **style)
                axes.set(xlabel='size: square root of box area / image area', ylabel='% of the boxes', xlim=(0, 1))
        _add_legend(axes)
        return _svg(figure, name)


def _axes():
    figure = Figure(figsize=(4.6, 2.7), layout='constrained', facecolor='none')
    axes = figure.subplots()
    axes.set_facecolor('none')
    return figure, axes


def _add_legend(axes) -> None:
    """A legend above what is drawn, which gets the room for it."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.22 * (high - low))
    axes.legend(loc='upper left', ncols=2, borderaxespad=0, handlelength=1.5, columnspacing=1.2)


def _svg(figure: Figure, name: str) -> str:
    """A figure as an ``svg`` element: without references to elsewhere, and in the page's colours and letters."""
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg', transparent=True)
    text = buffer.getvalue()
    text = text[text.index('<svg') :]
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.S)
    text = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', '', text)
    text = text.replace('xlink:href', 'href')
    text = re.sub(r'<svg([^>]*?) width="[^"]*"', r'<svg\1', text, count=1)
    text = re.sub(r'<svg([^>]*?) height="[^"]*"', r'<svg\1', text, count=1)
    text = re.sub(r'id="([^"]*)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf'\1{name}-', text)
    text = re.sub(r'font: ([\d.]+)px [^;\"]*', r'font-size: \1px', text)
    for told, own in _COLORS.items():
        text = text.replace(told, own)
    return text


def image_as_text(image: np.ndarray, quality: int = 82) -> str:
    """(H, W, 3) uint8 RGB as the address of a JPEG that holds it."""
    _, data = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return f'data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}'
