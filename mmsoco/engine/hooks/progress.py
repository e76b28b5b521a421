"""A progress bar."""

import sys
import time
from collections.abc import Mapping

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook

from mmsoco.bars import progress_bar, speed
from mmsoco.config import is_pretraining
from mmsoco.registry import HOOKS
from mmsoco.resources import named

#: What a newcomer cannot know of the figures.
LEGEND = (
    'own nearest: boxes of a step that are nearest to themselves in another view; '
    f'learned: 0 is nothing, 1 is each box itself ({named("docs/method.md")})'
)


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show a training's steps, time left, images a second and main figures on one line of stderr.

    The figures are the loss and, for a pretraining, how often a box's own target is the nearest,
    and ``learned`` (see :func:`~mmsoco.models.matching.match_figures`), averaged
    over pairs of views.

    Args:
        every: Seconds between two refreshes; see :func:`~mmsoco.bars.progress_bar`.
    """

    priority = 'LOWEST'

    def __init__(self, every: float | None = None):
        self.every = every
        self._bar = None
        self._outputs: Mapping = {}

    def before_train(self, runner) -> None:
        if is_main_process():
            if is_pretraining(runner.cfg):
                print(LEGEND, file=sys.stderr)
            self._bar = progress_bar('step', runner.max_iters, runner.iter, self.every)
            self._images = images_a_step(runner.cfg)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: Mapping | None = None) -> None:
        if self._bar is None:
            return
        # A pretraining has figures only in the steps in which they are fetched from the device.
        self._outputs = outputs or self._outputs
        if time.time() - self._bar.last_print_t >= self._bar.mininterval:
            self._tell()
        self._bar.update()

    def after_train(self, runner) -> None:
        if self._bar is not None:
            self._tell()
            self._bar.close()

    def _tell(self) -> None:
        """Give the bar the figures that it shows at its next refresh."""
        words = [figures_in_words(self._outputs), speed(self._bar, self._images)]
        self._bar.set_postfix_str(', '.join(filter(None, words)), refresh=False)


def images_a_step(cfg: Mapping) -> int:
    """Images that an optimizer step takes in all: of a pretraining by its config, else of all processes."""
    loader = cfg['train_dataloader']
    alone = (loader.get('batch_size') or 1) * get_world_size() * cfg['optim_wrapper'].get('accumulative_counts', 1)
    return cfg.get('total_batch_size') or alone


def figures_in_words(outputs: Mapping) -> str:
    """The figures of a step in a few words, first what says most: a narrow terminal cuts off the end."""

    def mean(beginning: str) -> float | None:
        values = [float(value) for name, value in outputs.items() if name.startswith(beginning)]
        return sum(values) / len(values) if values else None

    hits, learned = mean('match_top1_'), mean('learned_')
    words = []
    if hits is not None:
        words += [f'own nearest {hits:.1%} (chance {mean("chance_top1_"):.1%})', f'learned {learned:.2f}']
    if 'loss' in outputs:
        words.append(f'loss {float(outputs["loss"]):.2f}')
    return ', '.join(words)
