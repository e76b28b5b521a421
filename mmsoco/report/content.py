"""What a report tells, read from the files of a pretraining."""

import csv
import importlib.metadata
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

import mmsoco
from mmsoco.errors import UserError
from mmsoco.images.root import ImageRoot
from mmsoco.pretrain.choice import SIZES, Export, exports_for
from mmsoco.pretrain.plan import Plan, compare_line, mmdet_lines, steps_of
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
#: What a run says of itself that belongs into a report: at any time, and of its last steps alone.
_EVER = re.compile(r'- (?:WARNING|INFO) - ((?:Collapse|The probe has|Step \d+ skipped)[^\n]*)')
_LAST = re.compile(r'- WARNING - (The network [^\n]*)')
_REPORT = 'Learning, mean of'
_SHOWN, _SIDE = 8, 300


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
        folder: Of the pretraining, as it is called.
        title: What was pretrained, on what.
        key: Figure -> what it is, the few that say most.
        data, learning, probe, versions: Rows of tables.
        failures: (name, why) of images that could not be read.
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
        times: Step -> seconds.
    """

    folder: str
    title: str
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
    says: list[str] = field(default_factory=list)
    exports: list[tuple[Export, str]] = field(default_factory=list)
    lines: str = ''
    compare: str | None = None
    commands: list[str] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    versions: list[tuple[str, str]] = field(default_factory=list)


def read_content(folder: Path) -> Content:
    """Read what a pretraining left: the folder of ``mmsoco pretrain``, or the work folder of a training.

    Raises:
        UserError: The folder holds no pretraining.
    """
    plan = Plan.read(folder) if folder.is_dir() else None
    work = folder / 'train' if (folder / 'train').is_dir() else folder
    if plan is None and not any(work.glob('*/vis_data/scalars.json')):
        raise UserError(f'{folder} holds no pretraining; name its work folder, or the one that mmsoco pretrain wrote')
    config = _config(folder, work)
    content = Content(str(folder), _title(plan, folder))
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
    _tell_boxes(content, proposals, raw)
    _tell_views(content, work)
    _tell_learning(content, work)
    return content


def _title(plan: Plan | None, folder: Path) -> str:
    if plan is None:
        return folder.resolve().name
    network = plan.network.backbone or 'ResNet-18 at half its width'
    return f'{plan.network.detector} with {network} on {Path(plan.images).resolve().name}'


def _config(folder: Path, work: Path) -> Config | None:
    """The run's config; of a run, and its resumptions, the last one's."""
    found = sorted(work.glob('*/vis_data/config.py')) or [path for path in [folder / 'config.py'] if path.exists()]
    return Config.fromfile(found[-1]) if found else None


def _tell_plan(content: Content, plan: Plan, folder: Path) -> None:
    facts = plan.facts
    size = '{0[0]:,} x {0[1]:,} px'.format
    content.data = [
        ('image files', f'{facts.found:,}'),
        ('to train on', f'{facts.usable:,}'),
        ('cannot be read', f'{len(facts.unreadable):,}'),
        ('same bytes as another', f'{len(facts.duplicates):,}'),
        ('median sides', size(facts.sides[::-1])),
        ('smallest', size(facts.smallest)),
        ('largest', size(facts.largest)),
        *((f'of {facts.sampled:,} looked into: {kind}', f'{count:,}') for kind, count in facts.kinds.items()),
        *(('besides', note) for note in facts.notes),
    ]
    content.choices = plan.rows
    content.trials = plan.trials[:8]
    content.sizes_chosen = '' if plan.asked.objects else plan.asked.size or 'medium'
    content.commands = [in_words(line) for step in steps_of(plan, folder) for line in step.commands]
    content.times = read_times(folder)
    content.lines = mmdet_lines(plan, folder)
    content.compare = compare_line(plan, folder)
    for export in exports_for(plan.network):
        file = folder / 'weights' / export.file
        there = f'{file.stat().st_size / 1e6:.1f} MB' if export.file and file.is_file() else ''
        content.exports.append((export, there))
    failures = folder / 'raw/failures.csv'
    if failures.exists():
        with failures.open(newline='', encoding='utf-8') as file:
            rows = [tuple(row[:2]) for row in csv.reader(file)][1:]
        content.failures, content.failed = rows[:20], len(rows)
    if (folder / 'recall.json').exists():
        everything = json.loads((folder / 'recall.json').read_text())[0]
        content.recall = f'{100 * everything["0.50"]:.1f} % of {everything["count"]:,}'
    for name in SIZES:
        source = folder / f'sizes/{name}.arrow'
        if source.exists():
            content.sizes[name] = _drawn(source, 3, side=220)


def _tell_boxes(content: Content, proposals: Path, raw: Path | None) -> None:
    if not proposals.is_file():
        return
    if not content.data:
        content.data = [('images with boxes', f'{len(ProposalStore.open(proposals)):,}')]
    statistics = {'searched': measure(raw)} if raw is not None else {}
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
            sheet = draw_proposals([row], images, boxes=10, columns=1, side=side)
        except UserError:  # it was moved meanwhile, and the page can do without
            continue
        # A sheet of one image has a border.
        address = image_as_text(sheet[6:-6, 6:-6])
        pictures.append(Picture(address, f'{row.file_name} with its boxes', f'{len(row.boxes)} boxes'))
    return pictures


def _tell_views(content: Content, work: Path) -> None:
    drawn = list(work.glob('*/vis_data/vis_image/matched_boxes_*.png'))
    if drawn:
        last = max(drawn, key=lambda path: (int(path.stem.rpartition('_')[2]), str(path)))
        image = cv2.cvtColor(cv2.imread(str(last)), cv2.COLOR_BGR2RGB)
        image = image[:, : int(np.flatnonzero((image < 250).any(axis=(0, 2)))[-1]) + 6]
        step = int(last.stem.rpartition('_')[2]) + 1
        content.views = Picture(image_as_text(image), f'views of four images in step {step}', f'Step {step:,}.')


def _tell_learning(content: Content, work: Path) -> None:
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
    if probe is not None:
        _tell_probe(content, probe)
    content.says = _said(work)
    if 'time' in scalars:
        content.versions.append(('seconds a step, median', f'{np.median([v for _, v in scalars["time"]]):.3g}'))


def _from_to(name: str, points: Sequence[tuple[int, float]], form: str, factor: float, failed: str) -> tuple:
    """A row: what, at the beginning, at the end, and what a run that failed has."""
    unit = ' %' if factor == 100 else ''
    first, last = (f'{format(factor * points[i][1], form)}{unit}' for i in (0, -1))
    return name, first, last, failed


def _tell_probe(content: Content, probe: dict) -> None:
    curve, random = probe['curve'], probe['random']
    last = curve[-1]['figures']
    stages = [stage for stage in STAGES if stage in last]
    main = stages[-1]
    points = [(entry['step'], 100 * entry['figures'][main]['top1']) for entry in curve]
    chance = 100 * last[main]['chance_top1']
    content.curves.append(
        (
            plot_curves(
                'probe',
                [
                    Curve('this network', points),
                    Curve('random weights', 100 * random[main]['top1'], SECOND, '--'),
                    Curve('chance', chance, MUTED, ':'),
                ],
                '% found again',
            ),
            'Of boxes of images that are not trained on, how many are found among all others in another view. A run '
            'that failed stays at the dashed line, of random weights.',
        )
    )
    for stage in stages:
        own, chosen = last[stage], random[stage]
        cells = (f'{100 * figure["top1"]:.2f} %' for figure in (own, chosen))
        content.probe.append((STAGES[stage], *cells, f'{100 * own["chance_top1"]:.2f} %'))
    content.key.insert(0, (f'{100 * last[main]["top1"]:.1f} %', 'of held-out boxes found again in another view'))
    content.key.insert(1, (f'{100 * random[main]["top1"]:.1f} %', f'by random weights; by chance {chance:.2f} %'))
    content.key.insert(2, (f'{curve[-1]["step"]:,}', 'steps'))


def _said(work: Path) -> list[str]:
    """What the run said of itself, the last of each kind; of what it learns, what it said at the end."""
    said, last = {}, ''
    for log in sorted(work.glob('*/*.log')):
        text = log.read_text(errors='replace')
        for line in _EVER.findall(text):
            said[re.sub(r'[\d.]+', '', line)[:60]] = line
        if _REPORT in text:
            last = text[text.rindex(_REPORT) :]
    return [*said.values(), *_LAST.findall(last)]


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
