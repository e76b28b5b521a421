"""How long a comparison takes, from some steps of the real detector on this machine."""

import copy
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config

from mmsoco.compare.checking import quiet
from mmsoco.compare.plan import Comparison, Run
from mmsoco.compare.running import forget_former_run
from mmsoco.compare.schedules import bare_type
from mmsoco.engine.launch import train

#: Steps to train and batches to evaluate; the first ones are not counted.
STEPS, BATCHES, SKIPPED = 10, 8, 3


class Pace(NamedTuple):
    """What a detector takes on this machine.

    Attributes:
        step: Seconds a training step, with its data.
        image: Seconds an evaluated image.
        images: Of an evaluation.
        start: Seconds until a run's first step.
        bn_batches: Batches that measure BN before each evaluation, of which each takes some half of a step.
    """

    step: float
    image: float
    images: int
    start: float
    bn_batches: int = 0

    def seconds(self, steps: int, evaluations: int) -> float:
        """Of a run."""
        measuring = self.bn_batches * self.step / 2
        return self.start + steps * self.step + evaluations * (self.images * self.image + measuring)


def measure(cfg: Config, comparison: Comparison, threads: int | None = None) -> Pace:
    """Train some steps and evaluate some images, and leave nothing behind.

    Args:
        cfg: Of a run on all labels.
        comparison: The settings.
        threads: As each of several runs at a time has; None leaves them.

    Raises:
        UserError: It cannot be trained.
    """
    cfg = copy.deepcopy(cfg)
    loader, size = cfg.val_dataloader, cfg.val_dataloader.get('batch_size', 1)
    hooks = (*cfg.default_hooks.values(), *(cfg.get('custom_hooks') or ()))
    bn_batches = sum(hook.get('num_iters', 200) for hook in hooks if hook and bare_type(hook) == 'PreciseBNHook')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=STEPS)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    # What follows epochs, saves or measures is left out.
    cfg.custom_hooks = []
    cfg.param_scheduler = None
    cfg.default_hooks = dict(logger=dict(type='LoggerHook', interval=1), checkpoint=None)
    cfg.load_from = None
    if threads is not None and 'OMP_NUM_THREADS' not in os.environ:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder, quiet():
        config = Path(folder, 'config.py')
        cfg.dump(config)
        forget_former_run()
        begin = time.monotonic()
        runner = train(config, str(Path(folder, 'run')), amp=comparison.amp, auto_scale_lr=comparison.auto_scale_lr)
        whole = time.monotonic() - begin
        times = runner.message_hub.get_scalar('train/time').data[0]
        model = runner.model.eval()
        batches = runner.build_dataloader(loader)
        seconds = []
        since = time.monotonic()
        with torch.no_grad():
            for batch in islice(batches, BATCHES):
                model.val_step(batch)
                seconds.append(time.monotonic() - since)
                since = time.monotonic()
        images = len(batches.dataset)
        forget_former_run()
    counted = seconds[SKIPPED:] or seconds
    return Pace(
        float(np.median(times[SKIPPED:])), float(np.median(counted)) / size, images, whole - sum(times), bn_batches
    )


def tell(
    comparison: Comparison,
    runs: Sequence[Run],
    steps: dict[Run, int],
    pace: Pace,
    jobs: int,
    labels: dict[str, dict],
    say: Callable[[str], None],
) -> float:
    """Print a plan and how long it takes.

    Returns:
        Seconds.
    """
    say(f'\n{len(runs)} runs, {comparison.evaluations} evaluations each, {jobs} at a time:')
    for schedule in comparison.schedules:
        of_it = [run for run in runs if run.schedule == schedule]
        if of_it:
            seconds = sum(pace.seconds(steps[run], comparison.evaluations) for run in of_it)
            say(f'  {schedule:g}x: {len(of_it)} runs of {steps[of_it[0]]} steps, {seconds / jobs / 3600:.2f} hours')
    for place, count in labels.items():
        lacking = [name for name, boxes in count['classes'].items() if not boxes]
        words = f'; no box of {", ".join(lacking[:5])}{" and others" if len(lacking) > 5 else ""}' if lacking else ''
        say(f'  {place}: {count["images"]} images, {count["boxes"]} boxes{words}')
    total = sum(pace.seconds(steps[run], comparison.evaluations) for run in runs) / jobs
    say(
        f'measured here: {pace.step:.3f} s a step, {pace.image:.3f} s an evaluated image, '
        f'{pace.images} images an evaluation'
    )
    say(f'about {total / 3600:.2f} hours in all; nothing was written')
    return total
