"""The steps of the quickstart, one command after the other."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmsoco.errors import UserError
from mmsoco.files import atomic_path

#: Trees measure some 40 px on tiles of 300: smaller segments (k), and a filter
#: that keeps boxes of 6 to 50 % of the tile's side, from 12 px on.
SEARCH = '--k 100'
FILTER = '--size 0.06 0.5 --min-side 12'
VARIANTS = {'soco': 'from the pretraining', 'scratch': 'from scratch'}


@dataclass(frozen=True)
class Step:
    """A step: what it is, how long it takes, its commands, and what it leaves when it is done."""

    title: str
    duration: str
    commands: tuple[str, ...]
    result: Path


def plan(folder: Path) -> list[Step]:
    """All steps up to the fine-tuned detectors, in order."""
    data = folder / 'data'
    configs = Path('configs/quickstart')
    steps = [
        Step(
            'fetch aerial photos and cut tiles', 'about half a minute', (f'data_pipelines/sample_data.py {data}',), data
        ),
        Step(
            'search for proposals on the training tiles',
            'some seconds',
            (
                f'data_pipelines/selective_search.py {data}/train {folder}/raw_proposals {SEARCH}',
                f'data_pipelines/filter_proposals.py {folder}/raw_proposals {folder}/proposals.arrow {FILTER}',
            ),
            folder / 'proposals.arrow',
        ),
        Step(
            'pretrain backbone, FPN and box head without labels',
            'about 4 minutes',
            (f'tools/train.py {configs}/soco_r18fpn_tiles.py --work-dir {folder}/pretrain --resume',),
            folder / 'pretrain/epoch_50.pth',
        ),
    ]
    for name, words in VARIANTS.items():
        steps.append(
            Step(
                f'fine-tune Faster R-CNN {words}',
                'about 3 minutes',
                (
                    f'tools/train.py {configs}/faster-rcnn_r18fpn_tiles_{name}.py --work-dir {folder}/{name} --resume',
                    f'tools/test.py {configs}/faster-rcnn_r18fpn_tiles_{name}.py {folder}/{name}/iter_250.pth '
                    f'--work-dir {folder}/{name} --out {folder}/{name}/metrics.json '
                    f'--cfg-options test_evaluator.outfile_prefix={folder}/{name}/val',
                ),
                folder / name / 'metrics.json',
            )
        )
    return steps


def run(folder: str | os.PathLike, say: Callable[[str], None] = print) -> None:
    """Do all steps that are not done yet, then draw the figures and print the results.

    Args:
        folder: Where everything goes. The configs name it, so it is relative to
            the checkout.
        say: Prints a line.

    Raises:
        UserError: A step failed; the message names its log.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    times_file = folder / 'times.json'
    times = json.loads(times_file.read_text()) if times_file.exists() else {}
    steps = plan(folder)
    say(f'quickstart: {len(steps) + 1} steps, about 10 minutes on 2 cores; results go to {folder}')
    for number, step in enumerate(steps, 1):
        if step.result.exists():
            say(f'[{number}/{len(steps) + 1}] {step.title}: done already')
            continue
        say(f'[{number}/{len(steps) + 1}] {step.title} ({step.duration})')
        start = time.monotonic()
        for command in step.commands:
            say(f'    python {command}')
            _run_logged(command, folder / f'step_{number}.log')
        times[step.title] = time.monotonic() - start
        with atomic_path(times_file) as temporary:
            temporary.write_text(json.dumps(times, indent=2) + '\n')
    say(f'[{len(steps) + 1}/{len(steps) + 1}] draw figures (about half a minute)')
    # Imported late: it needs torch and mmdet, which take seconds to import.
    from mmsoco.quickstart.figures import draw_figures

    figures = draw_figures(folder)
    say('')
    say(results_table(folder))
    say('')
    say('Time of each step: ' + ', '.join(f'{title} {seconds:.0f} s' for title, seconds in times.items()))
    say('Look at:')
    for path, words in figures.items():
        say(f'    {path}  {words}')


def _run_logged(command: str, log: Path) -> None:
    """Run a Python command of the checkout; its output goes to the log, progress bars to the screen."""
    with log.open('a') as file:
        done = subprocess.run([sys.executable, '-W', 'ignore', *shlex.split(command)], stdout=file, stderr=None)
    if done.returncode:
        raise UserError(f'python {command} failed with status {done.returncode}; see {log}')


def results_table(folder: Path) -> str:
    """Both detectors' AP on the validation tiles, as text."""
    lines = [f'{"Faster R-CNN, validation tiles":<32}{"AP":>8}{"AP50":>8}']
    for name, words in VARIANTS.items():
        metrics = json.loads((folder / name / 'metrics.json').read_text())
        lines.append(f'{words:<32}{100 * metrics["coco/bbox_mAP"]:>8.1f}{100 * metrics["coco/bbox_mAP_50"]:>8.1f}')
    return '\n'.join(lines)
