#!/usr/bin/env python
"""The whole chain on two CPU cores: images, proposals, pretraining, fine-tuning, figures.

Each step is a command that can be run by hand; finished steps are skipped, an
interrupted one goes on.

python tools/quickstart.py
python tools/quickstart.py --seeds 3 --times 3
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mmsoco.arguments import positive
from mmsoco.errors import command
from mmsoco.pace import STEPS, measure_pace
from mmsoco.report.scalars import read_probe
from mmsoco.steps import Step, duration, read_times, run_logged, run_steps

#: Digits measure some 30 px on sheets of 128: smaller segments than on photos, and a
#: filter that keeps boxes of 15 to 45 % of the sheet's side, from 12 px on.
SEARCH = '--k 100 --min-size 20'
FILTER = '--size 0.15 0.45 --min-side 12'
VARIANTS = {'soco': 'from the pretraining', 'scratch': 'from scratch'}
#: Steps of the pretraining and of a fine-tuning; the configs say the same.
PRETRAIN_STEPS, PROBE_INTERVAL, FINETUNE_STEPS = 300, 100, 200
#: Steps that make the data, in seconds; the others are worth an estimate.
DATA_STEPS = 2
#: The last step's script, which prints what it draws.
DRAWING = 'tools/visualize/quickstart.py'
DRAWING_SECONDS = 30


def variant_name(variant: str, seed: int, times: int) -> str:
    """The folder of a fine-tuning: ``soco``, or ``soco_3x_seed1``."""
    return variant + (f'_{times}x' if times > 1 else '') + (f'_seed{seed}' if seed else '')


def plan(folder: Path, seeds: int = 1, times: int = 1, device: str | None = None) -> list[Step]:
    """All steps up to the fine-tuned detectors, in order.

    Args:
        seeds: Fine-tunings of each variant, with seeds from 0 on.
        times: How many times the schedule they last.
        device: Where to compute, as tools/train.py takes it.
    """
    on = f' --device {device}' if device else ''
    data = folder / 'data'
    configs = Path('configs/quickstart')
    steps = [
        Step(
            'fetch handwritten digits and draw sheets of them',
            'some seconds',
            (f'data_pipelines/sample_data.py {data}',),
            data,
        ),
        Step(
            'search for proposals on the 400 training sheets',
            'some seconds',
            (
                f'data_pipelines/selective_search.py {data}/train {folder}/raw_proposals {SEARCH}',
                f'data_pipelines/filter_proposals.py {folder}/raw_proposals {folder}/proposals.arrow {FILTER}',
            ),
            folder / 'proposals.arrow',
        ),
        Step(
            'pretrain backbone, FPN and box head without labels',
            '',
            (f'tools/train.py {configs}/soco_r18fpn_digits.py --work-dir {folder}/pretrain --resume --progress{on}',),
            folder / f'pretrain/iter_{PRETRAIN_STEPS}.pth',
        ),
    ]
    for seed in range(seeds):
        for variant, words in VARIANTS.items():
            name = variant_name(variant, seed, times)
            config = configs / f'faster-rcnn_r18fpn_digits_{variant}.py'
            work = folder / name
            more = f', seed {seed}' if seeds > 1 else ''
            steps.append(
                Step(
                    f'fine-tune Faster R-CNN on the 40 labelled sheets {words}{more}',
                    '',
                    (
                        f'tools/train.py {config} --work-dir {work} --resume --progress{on}{_options(seed, times)}',
                        f'tools/test.py {config} {work}/iter_{FINETUNE_STEPS * times}.pth --work-dir {work}{on} '
                        f'--out {work}/metrics.json --cfg-options test_evaluator.outfile_prefix={work}/val',
                    ),
                    work / 'metrics.json',
                )
            )
    return steps


def _options(seed: int, times: int) -> str:
    """What a fine-tuning changes of its config, for ``--cfg-options``."""
    options = {'randomness.seed': seed} if seed else {}
    if times > 1:
        steps = FINETUNE_STEPS * times
        options |= {'train_cfg.max_iters': steps, 'train_cfg.val_interval': steps}
        options |= {'param_scheduler.1.end': steps, 'param_scheduler.1.T_max': steps - 20}
    return ' --cfg-options ' + ' '.join(f'{key}={value}' for key, value in options.items()) if options else ''


def run(
    folder: str | os.PathLike,
    seeds: int = 1,
    times: int = 1,
    say: Callable[[str], None] = print,
    device: str | None = None,
) -> None:
    """Do all steps that are not done yet, then draw the figures and print the results.

    Args:
        folder: Where everything goes. The configs name it, so it is relative to
            the checkout.
        seeds: Fine-tunings of each variant; more than one show the spread.
        times: How many times the schedule the fine-tunings last.
        say: Prints a line.
        device: Where to compute, as tools/train.py takes it.

    Raises:
        UserError: A step failed; the message names its log.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    steps = plan(folder, seeds, times, *filter(None, [device]))
    total = len(steps) + 1
    say(f'quickstart: {total} steps; before the third it says how long they take here; results go to {folder}')
    run_steps(steps[:DATA_STEPS], folder, say, total)
    rest = steps[DATA_STEPS:]
    if any(not step.result.exists() for step in rest):
        say(f'How long will it take? {STEPS} steps of each training are tried.')
        rest, seconds = with_durations(rest, times, device)
        say(f'Steps {DATA_STEPS + 1} to {total} take about {duration(seconds + DRAWING_SECONDS)} on this machine.')
    run_steps(rest, folder, say, total, DATA_STEPS + 1)
    say(f'[{total}/{total}] draw figures (about half a minute)')
    detectors = ' '.join(f'--{variant} {variant_name(variant, 0, times)}' for variant in VARIANTS)
    figures = run_logged(f'{DRAWING} {folder} {detectors}', folder / f'step_{total}.log')
    say('')
    say(learning_table(folder))
    say('')
    say(results_table(folder, seeds, times))
    say('')
    taken = read_times(folder).items()
    say('Time of each step: ' + ', '.join(f'{title} {seconds:.0f} s' for title, seconds in taken))
    say('Look at:')
    for line in figures.splitlines():
        say(f'    {line}')


def with_durations(steps: Sequence[Step], times: int = 1, device: str | None = None) -> tuple[list[Step], float]:
    """The steps that train, each with how long it will take here, by a few real steps of both kinds of training.

    Args:
        steps: Of :func:`plan`, from the pretraining on.
        times: See :func:`plan`.
        device: See :func:`plan`.

    Returns:
        The steps, and the seconds of those that are not done yet.
    """
    on = f'--device {device}' if device else ''
    seconds = []
    if not steps[0].result.exists():
        pace = measure_pace('configs/quickstart/soco_r18fpn_digits.py', arguments=on)
        seconds.append(pace.seconds(PRETRAIN_STEPS, PROBE_INTERVAL))
    else:
        seconds.append(0.0)
    pace = measure_pace('configs/quickstart/faster-rcnn_r18fpn_digits_scratch.py', arguments=on, pretraining=False)
    # The test after it starts, builds and evaluates once more.
    seconds += [pace.seconds(FINETUNE_STEPS * times) + pace.start] * (len(steps) - 1)
    timed = [replace(step, duration=f'about {duration(s)}') for step, s in zip(steps, seconds, strict=True)]
    return timed, sum(s for step, s in zip(steps, seconds, strict=True) if not step.result.exists())


def learning_table(folder: Path) -> str:
    """What the pretraining knows of sheets that it was not trained on, as text."""
    probe = read_probe(folder / 'pretrain')
    figures, random = probe['curve'][-1]['figures']['embedding'], probe['random']['embedding']
    rows = {'top1': 'own box nearest of all boxes', 'own_image': "own box nearest of its sheet's"}
    lines = [f'{"Held-out sheets, other view, in %":<34}{"SoCo":>8}{"random":>8}{"chance":>8}']
    for name, words in rows.items():
        cells = figures[name], random[name], figures[f'chance_{name}']
        lines.append(f'{words:<34}' + ''.join(f'{100 * cell:>8.2f}' for cell in cells))
    return '\n'.join(lines)


def results_table(folder: Path, seeds: int = 1, times: int = 1) -> str:
    """Both detectors' AP on the validation sheets, as text; of several seeds with the standard deviation."""
    lines = [f'{"Faster R-CNN, validation sheets":<32}{"AP":>14}{"AP50":>14}']
    for variant, words in VARIANTS.items():
        cells = []
        for metric in ('coco/bbox_mAP', 'coco/bbox_mAP_50'):
            values = [
                100 * json.loads((folder / variant_name(variant, seed, times) / 'metrics.json').read_text())[metric]
                for seed in range(seeds)
            ]
            spread = f' +- {statistics.stdev(values):.1f}' if seeds > 1 else ''
            cells.append(f'{statistics.mean(values):.1f}{spread}')
        lines.append(f'{words:<32}' + ''.join(f'{cell:>14}' for cell in cells))
    lines.append(
        'AP averages the precision over recall and over overlaps (IoU) of 0.5 to 0.95, AP50 at 0.5; 100 is perfect.'
    )
    if seeds == 1:
        lines.append('One seed; docs/recipes.md has the spread of three, and what is left after three times the steps.')
    return '\n'.join(lines)


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--seeds', type=positive, default=1, help='fine-tunings of each kind (default 1)')
    parser.add_argument('--times', type=positive, default=1, help='how many times as long they last (default 1)')
    parser.add_argument('--device', choices=('cpu', 'cuda'), help='where to train (default: CUDA where it is there)')
    args = parser.parse_args()
    # The configs name the folder relative to the checkout.
    os.chdir(Path(__file__).parents[1])
    run('work_dirs/quickstart', args.seeds, args.times, device=args.device)


if __name__ == '__main__':
    main()
