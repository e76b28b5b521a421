"""What a report tells, read from the files of a pretraining."""

import csv
import importlib.metadata
import json
import math
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

import mmsoco
from mmsoco.datasets.proposal_dataset import select_rows
from mmsoco.errors import UserError
from mmsoco.images.root import ImageRoot
from mmsoco.images.tiles import split_name
from mmsoco.pretrain.choice import SIZES, Export, exports_for
from mmsoco.pretrain.plan import Plan, compare_line, mmdet_lines, steps_of
from mmsoco.probe.retrieval import standard_error
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalStore
from mmsoco.report.figures import (
    FIRST,
    INK,
    MUTED,
    SECOND,
    Curve,
    image_as_text,
    plot_curves,
    plot_distributions,
)
from mmsoco.report.scalars import read_probe, read_scalars
from mmsoco.steps import in_words, read_times
from mmsoco.visualization.proposals import Statistics, choose_rows, draw_proposals, measure

#: Stages of the probe in the page's words, first to last.
STAGES = {'backbone': 'backbone', 'neck': 'FPN', 'head': 'box head', 'embedding': 'embedding'}
#: What is asked for versions.
PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain', 'numpy', 'opencv-contrib-python')
#: What a run says of itself that belongs into a report: at any time ...
_EVER = re.compile(r'- (?:WARNING|INFO) - ((?:Collapse|Step \d+ skipped)[^\n]*)')
#: ... and after the last of these lines alone, as it may be otherwise since.
_LATEST = {
    'Probe of held-out images': re.compile(r'- INFO - (The probe has [^\n]*)'),
    'Learning, mean of': re.compile(r'- WARNING - (The network [^\n]*)'),
}
_SHOWN, _SIDE, _BOXES = 8, 300, 10
#: At which no line is broken.
_SPACE = '\u00a0'


@dataclass
class Picture:
    """An image of the page: its address, and what it shows, for those who do not see it."""

    address: str
    words: str
    caption: str = ''


@dataclass
class Content:
    """All that a page tells; what there is nothing of is empty.

    Attributes:
        folder: Of the pretraining.
        title: What was pretrained.
        images: On what.
        key: Figure -> what it is, the few that say most.
        data, learning, probe, versions: Rows of tables.
        compared: What the probe's figures stand beside.
        compared_words: What to make of that.
        failures: (name, why) of images that cannot be read.
        failed: How many.
        choices: What was chosen, and why.
        trials: Of searches and filters on labelled objects.
        boxes: Images with the boxes that training sees.
        sizes: What other filters would keep: name -> images.
        sizes_chosen: Which of these was taken.
        distributions, curves: SVG and what it says.
        recall: How many labelled objects the boxes cover.
        views: What the network saw.
        says: What the run said of itself.
        exports: Tool, file, what, and whether it is there.
        lines: For the user's mmdet config.
        compare: The command that says whether it helps; None where no config fits.
        commands: In order.
        times: Step, how long it took, and what was expected.
    """

    folder: str
    title: str
    images: str = ''
    key: list[tuple[str, str]] = field(default_factory=list)
    data: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    failed: int = 0
    choices: list = field(default_factory=list)
    trials: list = field(default_factory=list)
    boxes: list[Picture] = field(default_factory=list)
    sizes: dict[str, list[Picture]] = field(default_factory=dict)
    sizes_chosen: str = ''
    distributions: list[tuple[str, str]] = field(default_factory=list)
    recall: str = ''
    views: Picture | None = None
    curves: list[tuple[str, str]] = field(default_factory=list)
    learning: list[tuple[str, str, str, str]] = field(default_factory=list)
    probe: list[tuple[str, str, str, str]] = field(default_factory=list)
    compared: str = ''
    compared_words: str = ''
    says: list[str] = field(default_factory=list)
    exports: list[tuple[Export, str]] = field(default_factory=list)
    lines: str = ''
    compare: str | None = None
    commands: list[str] = field(default_factory=list)
    times: list[tuple[str, str, str]] = field(default_factory=list)
    versions: list[tuple[str, str]] = field(default_factory=list)


def read_content(folder: Path) -> Content:
    """Read what a pretraining left: the folder of ``mmsoco pretrain``, or the work folder of a training.

    Of files that are damaged nothing is told: a report is there to be looked at, and all else is done.

    Raises:
        UserError: The folder holds no pretraining.
    """
    plan = Plan.read(folder) if folder.is_dir() else None
    work = folder / 'train' if (folder / 'train').is_dir() else folder
    if plan is None and not any(work.glob('*/vis_data/scalars.json')):
        raise UserError(f'{folder} holds no pretraining; name its work folder, or the one that mmsoco pretrain wrote')
    config = _config(folder, work)
    content = Content(str(folder.resolve()), _title(plan, folder))
    content.versions = versions()
    if plan is not None:
        _tell_plan(content, plan, folder)
    else:
        content.lines = _lines_of(work)
    proposals = folder / 'proposals.arrow'
    if not proposals.exists() and config is not None:
        proposals = Path(config.train_dataloader.dataset.get('proposal_file', ''))
    # A search that is not at its end cannot be measured.
    raw = folder / 'raw' if (folder / 'raw/failures.csv').exists() else None
    with suppress(UserError):
        _tell_boxes(content, proposals, raw, config and config.train_dataloader.dataset.get('held_out'))
    _tell_views(content, work)
    _tell_learning(content, work, plan.asked.init if plan else _began_with(work))
    return content


def _title(plan: Plan | None, folder: Path) -> str:
    if plan is None:
        return folder.resolve().name
    network = plan.network.backbone or 'ResNet-18 at half its width'
    return f'{plan.network.detector} with {network}'


def _config(folder: Path, work: Path) -> Config | None:
    """The run's config; of a run, and its resumptions, the last one's."""
    for path in [*sorted(work.glob('*/vis_data/config.py'), reverse=True), folder / 'config.py']:
        # Not to be had, or damaged.
        with suppress(Exception):
            return Config.fromfile(path)
    return None


def _began_with(work: Path) -> str | None:
    """The weights that a training began with, by its first run's config."""
    for path in sorted(work.glob('*/vis_data/config.py'))[:1]:
        with suppress(Exception):
            config = Config.fromfile(path)
            return None if config.get('resume') else config.get('load_from')
    return None


def _tell_plan(content: Content, plan: Plan, folder: Path) -> None:
    facts = plan.facts
    size = '{0[0]:,} x {0[1]:,} px'.format
    content.images = plan.images
    _tell_failures(content, plan, folder)
    kinds = ', '.join(f'{kind} {count:,}' for kind, count in facts.kinds.items())
    content.data = [
        ('image files', f'{facts.found:,}'),
        ('cannot be read', f'{content.failed:,}'),
        ('same bytes as another', f'{len(facts.duplicates):,}'),
        ('median sides, longer first', size(facts.sides[::-1])),
        ('smallest', size(facts.smallest)),
        ('largest', size(facts.largest)),
        (f'kinds, of {facts.sampled:,} looked into', kinds),
        *(('besides', note) for note in facts.notes),
    ]
    content.choices = plan.rows
    content.trials = plan.trials[:8]
    content.sizes_chosen = '' if plan.asked.objects else plan.asked.size or 'medium'
    steps = steps_of(plan, folder)
    content.commands = [in_words(line) for step in steps for line in step.commands]
    _tell_times(content, read_times(folder), {step.title: step.duration for step in steps})
    content.lines = mmdet_lines(plan, folder)
    content.compare = compare_line(plan, folder)
    for _, alike in groupby(exports_for(plan.network), lambda export: (export.file, export.what)):
        first, *others = alike
        file = folder / 'weights' / first.file
        there = f'{file.stat().st_size / 1e6:.1f} MB' if first.file and file.is_file() else ''
        whom = ', '.join(export.whom for export in (first, *others))
        content.exports.append((replace(first, whom=whom), there))
    with suppress(OSError, ValueError, LookupError, TypeError):
        everything = json.loads((folder / 'recall.json').read_text())[0]
        content.recall = f'{100 * everything["0.50"]:.1f} % of {everything["count"]:,}'
    for name in SIZES:
        source = folder / f'sizes/{name}.arrow'
        if source.exists():
            with suppress(UserError):
                content.sizes[name] = _drawn(source, 3, side=220)


def _tell_failures(content: Content, plan: Plan, folder: Path) -> None:
    """Those that could not be read when they were looked at, and those that the search found besides."""
    failures = dict(plan.facts.unreadable)
    with suppress(OSError), (folder / 'raw/failures.csv').open(newline='', encoding='utf-8', errors='replace') as file:
        for name, why, *_ in ([*row, '', ''] for row in list(csv.reader(file))[1:]):
            failures.setdefault(split_name(name)[0] if plan.search.tile else name, why)
    content.failures, content.failed = list(failures.items())[:20], len(failures)


def _tell_times(content: Content, times: dict[str, float], expected: dict[str, str]) -> None:
    rows = {**times, 'together': sum(times.values())} if times else {}
    content.times = [
        (title, str(timedelta(seconds=round(seconds))), expected.get(title, '')) for title, seconds in rows.items()
    ]


def _tell_boxes(content: Content, proposals: Path, raw: Path | None, held_out: int | str | None) -> None:
    if not proposals.is_file():
        return
    store = ProposalStore.open(proposals)
    unit = 'tiles' if store.header.get('tiles') else 'images'
    content.data.append((f'{unit} with boxes', f'{len(store):,}'))
    with suppress(UserError):
        trained = len(select_rows(store, held_out, wanted=False))
        content.data += [('of these trained on', f'{trained:,}'), ('held out to measure', f'{len(store) - trained:,}')]
    statistics = {}
    if raw is not None:
        with suppress(UserError):
            statistics['searched'] = measure(raw)
    statistics['kept'] = measure(proposals)
    content.boxes = _drawn(proposals, _SHOWN)
    kept = statistics['kept'].describe()
    content.key.append((f'{kept["boxes an image"]["mean"]:.1f}', 'boxes an image, of which each step draws four'))
    content.distributions = [
        (plot_distributions('counts', statistics, 'counts'), _describe(statistics, 'boxes an image')),
        (plot_distributions('sizes', statistics, 'sizes'), _describe(statistics, 'size')),
    ]


def _describe(statistics: dict[str, Statistics], what: str) -> str:
    """Mean and middle half, of each source."""
    words = []
    for name, part in statistics.items():
        about = part.describe()[what]
        if about:
            words.append(
                f'{name}: mean {about["mean"]:.3g}, half of them from {about["25 %"]:.3g} to {about["75 %"]:.3g}'
            )
    return '; '.join(words) + '.'


def _drawn(source: Path, count: int, side: int = _SIDE) -> list[Picture]:
    """Some images with their boxes."""
    header, _, _ = read_raw(source)
    images = ImageRoot.of(header, header['root'])
    total = header.get('count') or sum(1 for _ in read_raw(source)[2])
    pictures = []
    for row in choose_rows(source, total, count, seed=0):
        try:
            sheet = draw_proposals([row], images, boxes=_BOXES, columns=1, side=side)
        except UserError:  # it was moved meanwhile, and the page can do without
            continue
        # A sheet of one image has a border.
        address = image_as_text(sheet[6:-6, 6:-6])
        count = f'{_BOXES} of {len(row.boxes)}' if len(row.boxes) > _BOXES else f'{len(row.boxes)}'
        pictures.append(Picture(address, f'{row.file_name} with {count} boxes', f'{count} boxes'))
    return pictures


def _tell_views(content: Content, work: Path) -> None:
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


def _tell_learning(content: Content, work: Path, init: str | None) -> None:
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


def _lines_of(work: Path) -> str:
    """The two lines, for a work folder's newest checkpoint."""
    found = sorted(work.glob('*.pth'), key=lambda path: path.stat().st_mtime)
    if not found:
        return ''
    return f"load_from = {str(found[-1].resolve())!r}\ncustom_hooks = [dict(type='mmsoco.TransferHook')]\n"


def versions() -> list[tuple[str, str]]:
    """What is installed here."""
    rows = [('mmsoco', mmsoco.__version__), ('Python', platform.python_version())]
    for name in PACKAGES:
        # The maintained line of OpenMMLab has names of its own.
        for called in (name, f'onedl-{name.replace("mmdet", "mmdetection")}'):
            try:
                rows.append((called, importlib.metadata.version(called)))
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return rows
