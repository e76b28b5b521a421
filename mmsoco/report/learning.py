"""What a page tells of the training: what the network saw, its figures, and what the run said of itself."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmsoco.probe.retrieval import standard_error
from mmsoco.report.content import Content, Picture
from mmsoco.report.figures import FIRST, INK, MUTED, SECOND, Curve, image_as_text, plot_curves
from mmsoco.report.scalars import read_probe, read_scalars

#: Stages of the probe in the page's words, first to last.
STAGES = {'backbone': 'backbone', 'neck': 'FPN', 'head': 'box head', 'embedding': 'embedding'}
#: What a run says of itself that belongs into a report: at any time ...
_EVER = re.compile(r'- (?:WARNING|INFO) - ((?:Collapse|Step \d+ skipped)[^\n]*)')
#: ... and after the last of these lines alone, as it may be otherwise since.
_LATEST = {
    'Probe of held-out images': re.compile(r'- INFO - (The probe has [^\n]*)'),
    'Learning, mean of': re.compile(r'- WARNING - (The network [^\n]*)'),
}
#: At which no line is broken.
_SPACE = '\u00a0'


def tell_views(content: Content, work: Path) -> None:
    """What the network saw last: the views that a training drew."""
    drawn = work.glob('*/vis_data/vis_image/matched_boxes_*.png')
    for path in sorted(drawn, key=lambda path: (int(path.stem.rpartition('_')[2]), str(path)), reverse=True):
        image = cv2.imread(str(path))
        # What is right of the last view is white; a run that was killed may leave half a file, or a blank one.
        columns = [] if image is None else np.flatnonzero((image < 250).any(axis=(0, 2)))
        if len(columns):
            image = cv2.cvtColor(image[:, : columns[-1] + 6], cv2.COLOR_BGR2RGB)
            step = int(path.stem.rpartition('_')[2]) + 1
            words = f'Step {step:,}. A row is an image; its views are beside each other, as they are fed.'
            content.views = Picture(image_as_text(image), f'views of four images in step {step}', words)
            return


def tell_learning(content: Content, work: Path, init: str | None) -> None:
    """Curves and figures of a training, and of its probe.

    Args:
        content: What is added to.
        work: The training's work folder.
        init: Weights that it began with; None for random ones.
    """
    scalars, probe = read_scalars(work), read_probe(work)
    pairs = [name.removeprefix('learned_') for name in scalars if name.startswith('learned_')]
    colors = (FIRST, SECOND, INK)

    def curves(figure: str, factor: float = 1.0) -> list[Curve]:
        return [
            Curve(
                pair.replace('_', '-'), [(step, factor * value) for step, value in scalars[f'{figure}_{pair}']], color
            )
            for pair, color in zip(pairs, colors, strict=False)
        ]

    if 'loss' in scalars:
        content.curves.append(
            (
                plot_curves('loss', [Curve('loss', scalars['loss'])], 'loss', from_zero=False),
                'The loss. It falls in runs that learn nothing, too, so it is no proof.',
            )
        )
        content.learning.append(_from_to('loss', scalars['loss'], '.2f', 1, ''))
    if pairs:
        mean = Curve('always the mean', 0.0, MUTED, ':')
        content.curves.append(
            (
                plot_curves('learned', [*curves('learned'), mean], 'learned', from_zero=False),
                'The loss against that of a network which always answers with the mean of all boxes: 0 is no better '
                'than that, 1 is each box itself. A run that failed stays at 0.',
            )
        )
        chance = Curve('chance', 100 * scalars[f'chance_top1_{pairs[0]}'][-1][1], MUTED, ':')
        content.curves.append(
            (
                plot_curves('hits', [*curves('match_top1', 100), chance], '% own nearest'),
                'Of the boxes of a step, how many are nearest to themselves in the other view. A run that failed '
                'stays at chance.',
            )
        )
        for pair in pairs:
            words = pair.replace('_', '-')
            content.learning.append(_from_to(f'learned, {words}', scalars[f'learned_{pair}'], '.2f', 1, '0'))
            chance_value = f'{100 * scalars[f"chance_top1_{pair}"][-1][1]:.2f} %'
            content.learning.append(
                _from_to(f'own nearest, {words}', scalars[f'match_top1_{pair}'], '.1f', 100, chance_value)
            )
    if probe is not None and probe['curve']:
        _tell_probe(content, probe, init)
    content.says = _said(work)
    if 'time' in scalars:
        content.versions.append(('seconds a step, median', f'{np.median([v for _, v in scalars["time"]]):.3g}'))


def _from_to(name: str, points: Sequence[tuple[int, float]], form: str, factor: float, failed: str) -> tuple:
    """A row: what, at the beginning, at the end, and where nothing is learned."""
    unit = ' %' if factor == 100 else ''
    first, last = (f'{format(factor * points[i][1], form)}{unit}' for i in (0, -1))
    return name, first, last, failed


def _tell_probe(content: Content, probe: dict, init: str | None) -> None:
    curve, asked = probe['curve'], probe['asked']
    last = curve[-1]['figures']
    stages = [stage for stage in STAGES if stage in last]
    main = stages[-1]
    if init:
        # It was far above random weights before its first step.
        beside, content.compared = curve[0]['figures'], f'itself, in step {curve[0]["step"]:,}'
        failed = (
            f'This run began with {Path(init).name}, which may find many: what it brought is what it has risen above '
            'its first measurement, the dashed line.'
        )
        content.compared_words = 'What the run brought is the difference of the first two columns.'
    else:
        beside, content.compared = probe['random'], 'random weights'
        failed = 'A run that failed stays at the dashed line, of random weights.'
        content.compared_words = 'In a run that failed, the first two columns are alike.'
    share, other, chance = last[main]['top1'], beside[main]['top1'], 100 * last[main]['chance_top1']
    points = [(entry['step'], 100 * entry['figures'][main]['top1']) for entry in curve]
    content.curves.append(
        (
            plot_curves(
                'probe',
                [
                    Curve('this network', points),
                    Curve(content.compared, 100 * other, SECOND, '--'),
                    Curve('chance', chance, MUTED, ':'),
                ],
                '% found again',
            ),
            f'Of {asked or "the"} boxes of images that are not trained on, how many are found among all others in '
            f'another view, by the {STAGES[main]}. {failed}',
        )
    )
    for stage in stages:
        cells = (f'{100 * figures[stage]["top1"]:.2f} %' for figures in (last, beside))
        content.probe.append((STAGES[stage], *cells, f'{100 * last[stage]["chance_top1"]:.2f} %'))
    of, give_or_take, same = '', '', ''
    if asked:
        error, beside_error = standard_error(share, asked), standard_error(other, asked)
        of, give_or_take = f'{asked:,} ', f', give or take {100 * error:.1f}{_SPACE}%'
        if beside is not last and abs(share - other) <= math.hypot(error, beside_error):
            same = '; so few boxes show no difference'
    content.key[:0] = [
        (f'{100 * share:.1f} %', f'of {of}held-out boxes found again in another view{give_or_take}'),
        (f'{100 * other:.1f} %', f'by {content.compared}, and {chance:.2f}{_SPACE}% by chance{same}'),
        (f'{curve[-1]["step"]:,}', 'steps'),
    ]


def _said(work: Path) -> list[str]:
    """What the run said of itself, the last of each kind; of what may have changed, what it said at the end."""
    said, latest = {}, dict.fromkeys(_LATEST, '')
    for log in sorted(work.glob('*/*.log')):
        text = log.read_text(errors='replace')
        for line in _EVER.findall(text):
            said[re.sub(r'[\d.]+', '', line)[:60]] = line
        for mark in latest:
            if mark in text:
                latest[mark] = text[text.rindex(mark) :]
    return [*said.values(), *(line for mark, text in latest.items() for line in _LATEST[mark].findall(text))]
