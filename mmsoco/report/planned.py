"""What a page tells of the plan: images, choices, commands, times, and what there is for detectors."""

import csv
import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path

from mmsoco.errors import UserError
from mmsoco.images.tiles import split_name
from mmsoco.pretrain.exports import exports_for
from mmsoco.pretrain.plan import Plan, compare_line, mmdet_lines, steps_of
from mmsoco.pretrain.proposals import SIZES
from mmsoco.report.content import Content
from mmsoco.report.proposals import draw
from mmsoco.steps import in_words, read_times


def tell_plan(content: Content, plan: Plan, folder: Path) -> None:
    """What was found and chosen, what was done and how long it took, and what the folder has for detectors."""
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
    ]
    content.choices = plan.rows
    content.trials = plan.trials[:8]
    content.sizes_chosen = '' if plan.asked.objects else plan.asked.size or 'medium'
    # The page may be read anywhere.
    steps = steps_of(plan, folder.resolve())
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
                content.sizes[name] = draw(source, 3, side=220)


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
