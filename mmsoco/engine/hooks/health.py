"""Watching a pretraining: does it learn, or is there what makes it worthless, collapse and divergence."""

import math
from collections import Counter

from mmengine.hooks import Hook

from mmsoco.engine.figures import SKIPPED
from mmsoco.engine.hooks.schedule import WarmupCosineLRHook
from mmsoco.engine.model import bare_model
from mmsoco.errors import UserError
from mmsoco.files import finishing
from mmsoco.registry import HOOKS

#: What :func:`~mmsoco.models.matching.match_figures` names.
FIGURES = ('match_', 'other_cos_', 'chance_', 'learned_')


class TrainingDiverged(UserError):
    """Gradients stayed without finite values."""


@HOOKS.register_module()
class HealthHook(Hook):
    """Say what a run learns, how boxes spread over the pyramid, warn of collapse, and stop a run that diverges.

    Of a method that does not give all of these figures for a pair, it reports none of that pair.

    The figures of :func:`~mmsoco.models.matching.match_figures`, averaged over the
    steps since the last report, are logged in words. After the warm-up of the
    learning rate the report says so where they show little learned. A prediction
    that finds its own target less than ``few_hits`` times as often as by chance
    is of the mean target, or tells no more than some clusters of boxes apart; one
    that finds it among its image's boxes hardly more often than by chance tells
    images apart, not boxes.

    A gradient that is not finite skips its step (see
    :class:`~mmsoco.engine.optim_wrappers.FiniteOptimWrapper`), so the weights
    stay what they were; after ``max_skips`` in a row they are saved as
    ``stopped.pth`` and the run ends; that is learned in a step whose figures are read (see
    :class:`~mmsoco.engine.loops.PretrainLoop`), and from the first such one on in each.
    With loss scaling a lone skip is expected, and no warning. Random boxes with K = 4, for one, diverge
    (paper, table 5c).

    Args:
        interval: Optimizer steps between two reports.
        max_skips: Skipped steps in a row that end the run.
        collapse_steps: Steps in a row with embeddings alike after which to warn.
            Alike means a spread, ``target_std``, under a tenth of 1 / sqrt(C).
        few_hits: See above; ours: a run that learned clusters reached 3.5, one that learned
            boxes 55 (docs/method.md).
        little: ``learned`` up to which a run counts as predicting the mean, and the share
            of an image's boxes, beyond chance, up to which it counts as not
            telling them apart; ours.

    Raises:
        TrainingDiverged: After ``max_skips`` skipped steps in a row.
    """

    def __init__(
        self,
        interval: int = 50,
        max_skips: int = 20,
        collapse_steps: int = 100,
        few_hits: float = 4.0,
        little: float = 0.1,
    ):
        self.interval = interval
        self.max_skips = max_skips
        self.collapse_steps = collapse_steps
        self.few_hits = few_hits
        self.little = little
        self._alike = 0
        self._steps = 0
        self._sums: Counter[str] = Counter()

    def before_train(self, runner) -> None:
        schedules = [hook for hook in runner.hooks if isinstance(hook, WarmupCosineLRHook)]
        self._warmup_steps = max((hook.warmup_steps for hook in schedules), default=0)

    def after_figures(self, runner, steps: list[dict[str, float]]) -> None:
        """What :class:`~mmsoco.engine.loops.PretrainLoop` calls with the figures of the steps since the last call."""
        width = bare_model(runner).embedding_width
        for number, figures in enumerate(steps, runner.iter + 2 - len(steps)):
            if 'target_std' in figures:
                self._watch_spread(runner, figures['target_std'], width)
            skipped = int(figures.get(SKIPPED, 0))
            # One figure that is no number would make the mean of all none.
            if all(map(math.isfinite, figures.values())) or not skipped:
                self._steps += 1
                self._sums.update({name: value for name, value in figures.items() if name.startswith(FIGURES)})
            self._tell_skip(runner, number, skipped)
        # Of the latest alone: the weights of a run of skips that has ended are not those that would be saved.
        if (skipped := int(steps[-1].get(SKIPPED, 0))) >= self.max_skips:
            self._end(runner, skipped)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        self._report_levels(runner, bare_model(runner).level_shares(data_batch.get('boxes', {})))
        if self._sums:
            self._report_learning(runner, {name: total / self._steps for name, total in self._sums.items()})
            self._steps, self._sums = 0, Counter()

    def _tell_skip(self, runner, step: int, skipped: int) -> None:
        if skipped:
            # A scale of the loss that grew too large is found by a step that is left out, one in some 2,000.
            scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
            expected = skipped == 1 and scaler is not None and scaler.is_enabled()
            say = runner.logger.info if expected else runner.logger.warning
            say(f'Step {step} skipped: its gradient is not finite ({skipped} in a row)')

    def _end(self, runner, skipped: int) -> None:
        with finishing():
            runner.save_checkpoint(runner.work_dir, 'stopped.pth', by_epoch=False, backend_args=dict(backend='atomic'))
        raise TrainingDiverged(
            f'gradients were not finite in {skipped} steps in a row, up to step {runner.iter + 1}; the weights '
            f'from before are in {runner.work_dir}/stopped.pth; try a lower optim_wrapper.optimizer.lr, --no-amp, '
            'more warm-up, or better proposals'
        )

    def _report_learning(self, runner, figures: dict[str, float]) -> None:
        names = ('match_cos', 'other_cos', 'match_top1', 'chance_top1', 'match_image', 'chance_image', 'learned')
        pairs = [name.removeprefix('learned_') for name in figures if name.startswith('learned_')]
        pairs = [pair for pair in pairs if all(f'{name}_{pair}' in figures for name in names)]
        if not pairs:
            return
        words = (
            f'{pair.replace("_", "-")} own {figures[f"match_cos_{pair}"]:.2f}, other images '
            f'{figures[f"other_cos_{pair}"]:.2f}, own nearest {figures[f"match_top1_{pair}"]:.1%} '
            f'(chance {figures[f"chance_top1_{pair}"]:.2%}), of its image {figures[f"match_image_{pair}"]:.0%} '
            f'(chance {figures[f"chance_image_{pair}"]:.0%}), learned {figures[f"learned_{pair}"]:.2f}'
            for pair in pairs
        )
        runner.logger.info(f'Learning, mean of {self._steps} steps: {"; ".join(words)}')
        mean = {
            name: sum(figures[f'{name}_{pair}'] for pair in pairs) / len(pairs)
            for name in ('match_top1', 'chance_top1', 'match_image', 'chance_image', 'learned')
        }
        verdict = self._verdict(**mean)
        if verdict and runner.iter + 1 > self._warmup_steps and not self._alike:
            hits, hits_in_image = (mean[f'match_{where}'] / mean[f'chance_{where}'] for where in ('top1', 'image'))
            runner.logger.warning(
                f'{verdict} (own nearest {hits:.1f} times as often as by chance, {hits_in_image:.1f} times of its '
                f'image, learned {mean["learned"]:.2f}). '
                'In a run of tens of thousands of steps wait; in a shorter one take a recipe of mmsoco::own '
                '(InfoNCEHead, AdamW), more steps, or a higher learning rate, and look at matched_boxes'
            )

    def _verdict(
        self, match_top1: float, chance_top1: float, match_image: float, chance_image: float, learned: float
    ) -> str | None:
        """What is wrong with what is learned, if anything."""
        # All of a share that chance does not give; with a box an image there is none.
        known = (match_image - chance_image) / max(1 - chance_image, 1e-3)
        if match_top1 < self.few_hits * chance_top1:
            if learned <= self.little:
                return 'The network predicts the mean target: nothing is learned so far'
            return 'The network tells clusters of boxes apart, not boxes: little is learned so far'
        if chance_image < 0.9 and known < self.little:
            return 'The network tells images apart, not the boxes of an image: little is learned so far'
        return None

    def _watch_spread(self, runner, spread: float, channels: int) -> None:
        self._alike = self._alike + 1 if spread < 0.1 * channels**-0.5 else 0
        if self._alike and self._alike % self.collapse_steps == 0:
            runner.logger.warning(
                f'Collapse: for {self._alike} steps all embeddings have been nearly alike (target_std {spread:.1e}, '
                f'spread would be {channels**-0.5:.1e}); try a lower learning rate or a target momentum nearer to 1, '
                'and look at matched_boxes'
            )

    def _report_levels(self, runner, shares: dict[str, list[float]]) -> None:
        if not shares:
            return
        runner.visualizer.add_scalars(
            {f'boxes/{name}_level{level}': share for name, row in shares.items() for level, share in enumerate(row)},
            step=runner.iter + 1,
        )
        words = (f'{name} ' + ' / '.join(f'{share:.0%}' for share in row) for name, row in shares.items())
        runner.logger.info(f'Boxes on each level: {", ".join(words)}')
