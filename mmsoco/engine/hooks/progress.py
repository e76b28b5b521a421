"""A progress bar."""

import sys
from collections.abc import Mapping

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from tqdm import tqdm

from mmsoco.registry import HOOKS


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show a training's steps, time left and main figures on one line of stderr.

    For a pretraining the figures are how often a box's own target is the nearest,
    and ``learned`` (see :func:`~mmsoco.models.matching.match_figures`), averaged
    over pairs of views; for others the loss.

    Args:
        every: Seconds between two refreshes; by default 1 on a terminal, 30 elsewhere.
    """

    priority = 'LOWEST'

    def __init__(self, every: float | None = None):
        self.every = every or (1.0 if sys.stderr.isatty() else 30.0)
        self._bar = None
        self._outputs: Mapping = {}

    def before_train(self, runner) -> None:
        if is_main_process():
            self._bar = tqdm(
                total=runner.max_iters, initial=runner.iter, mininterval=self.every, unit='step', dynamic_ncols=True
            )

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: Mapping | None = None) -> None:
        if self._bar is None:
            return
        # A pretraining has figures only in the steps in which they are fetched from the device.
        refreshed, self._outputs = self._bar.update(), outputs or self._outputs
        if refreshed:
            self._bar.set_postfix_str(figures_in_words(self._outputs), refresh=True)

    def after_train(self, runner) -> None:
        if self._bar is not None:
            self._bar.close()


def figures_in_words(outputs: Mapping) -> str:
    """The figures of a step that say most, in a few words."""

    def mean(beginning: str) -> float | None:
        values = [float(value) for name, value in outputs.items() if name.startswith(beginning)]
        return sum(values) / len(values) if values else None

    hits, learned = mean('match_top1_'), mean('learned_')
    if hits is not None:
        return f'own nearest {hits:.1%} (chance {mean("chance_top1_"):.1%}), learned {learned:.2f}'
    return f'loss {float(outputs["loss"]):.2f}' if 'loss' in outputs else ''
