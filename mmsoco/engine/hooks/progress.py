"""A progress bar."""

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from tqdm import tqdm

from mmsoco.registry import HOOKS


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show a training's steps, time left, images a second and main figures on one line of stderr.

    The figures are the loss and, for a pretraining, how often a box's own target is the nearest,
    and ``learned`` (see :func:`~mmsoco.models.matching.match_figures`), averaged
    over pairs of views. Where stderr is no terminal, each refresh is a line of its own, so that it is
    seen in logs and through pipes.

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
                total=runner.max_iters,
                initial=runner.iter,
                file=sys.stderr if sys.stderr.isatty() else _Lines(sys.stderr),
                mininterval=self.every,
                miniters=1,
                unit='step',
                dynamic_ncols=True,
            )
            self._images = images_a_step(runner.cfg)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: Mapping | None = None) -> None:
        if self._bar is None:
            return
        # A pretraining has figures only in the steps in which they are fetched from the device.
        self._outputs = outputs or self._outputs
        if time.time() - self._bar.last_print_t >= self.every:
            self._tell()
        self._bar.update()

    def after_train(self, runner) -> None:
        if self._bar is not None:
            self._tell()
            self._bar.close()

    def _tell(self) -> None:
        """Give the bar the figures that it shows at its next refresh."""
        rate = self._bar.format_dict['rate']
        words = [figures_in_words(self._outputs), f'{rate * self._images:.3g} images/s' if rate else '']
        self._bar.set_postfix_str(', '.join(filter(None, words)), refresh=False)


class _Lines:
    """A stream on which each refresh of a bar is a line, not written over the one before."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        if text.strip():
            self._stream.write(f'{text.strip()}\n')

    def flush(self) -> None:
        self._stream.flush()


def images_a_step(cfg: Mapping) -> int:
    """Images that an optimizer step takes in all: of a pretraining by its config, else of all processes."""
    loader = cfg['train_dataloader']
    alone = (loader.get('batch_size') or 1) * get_world_size() * cfg['optim_wrapper'].get('accumulative_counts', 1)
    return cfg.get('total_batch_size') or alone


def figures_in_words(outputs: Mapping) -> str:
    """The figures of a step that say most, in a few words."""

    def mean(beginning: str) -> float | None:
        values = [float(value) for name, value in outputs.items() if name.startswith(beginning)]
        return sum(values) / len(values) if values else None

    hits, learned = mean('match_top1_'), mean('learned_')
    words = [f'loss {float(outputs["loss"]):.2f}'] if 'loss' in outputs else []
    if hits is not None:
        words.append(f'own nearest {hits:.1%} (chance {mean("chance_top1_"):.1%}), learned {learned:.2f}')
    return ', '.join(words)
