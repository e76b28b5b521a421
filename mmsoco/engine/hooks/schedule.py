"""The learning rate's schedule."""

import math

from mmengine.hooks import Hook

from mmsoco.registry import HOOKS


def warmup_cosine(
    step: int, warmup_steps: int, max_steps: int, peak: float, start: float = 0.01, end: float = 1e-6
) -> float:
    """Linear warm-up, then a cosine (official code).

    With t the step, W the warm-up and T the end::

        t <= W: peak (start + (1 - start) t / W)
        t > W:  end + (peak - end) (1 + cos(pi (t - W) / (T - W))) / 2

    Args:
        step: Optimizer steps done so far.
        start: Rate at step 0, as a fraction of the peak.
        end: Rate at the end.
    """
    if step <= warmup_steps:
        return peak * (start + (1 - start) * (step / warmup_steps if warmup_steps else 1))
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    return end + (peak - end) * (1 + math.cos(math.pi * progress)) / 2


@HOOKS.register_module()
class WarmupCosineLRHook(Hook):
    """Set the learning rate before each optimizer step, by :func:`~mmsoco.engine.hooks.schedule.warmup_cosine`.

    Each parameter group has the rate's share that it was built with: with layer
    decay, for one, groups of the first layers stay behind all others. The
    optimizer's configured lr is meant for ``base_batch_size`` images; the
    peak is scaled to the total batch (paper, section 4.1). mmengine's LinearLR
    arrives one step early, and its schedulers count micro-batches; and a
    schedule computed from the step alone has nothing to save or restore.

    Args:
        warmup_epochs: Epochs of warm-up (paper: 10); or
        warmup_share: the share of all steps that it takes, where a training is counted in steps.
        base_batch_size: Batch that the configured lr is meant for (paper: 256); None for
            the batch that there is, so that the lr is the peak.
        start: Rate at the first step, as a fraction of the peak (official code: 0.01).
        end: Rate at the end (official code: 1e-6).
    """

    # Before RuntimeInfoHook, which reads the lr for the log.
    priority = 'HIGHEST'

    def __init__(
        self,
        warmup_epochs: float = 10,
        base_batch_size: int | None = 256,
        start: float = 0.01,
        end: float = 1e-6,
        warmup_share: float | None = None,
    ):
        self.warmup_epochs = warmup_epochs
        self.warmup_share = warmup_share
        self.base_batch_size = base_batch_size
        self.start = start
        self.end = end

    def before_run(self, runner) -> None:
        # Before a checkpoint is resumed: its optimizer holds the last step's rate.
        self.lr = runner.optim_wrapper.optimizer.defaults['lr']
        # The wrapper adds a group that stands for the configured rate in the log.
        self.shares = [group['lr'] / self.lr for group in runner.optim_wrapper.param_groups]

    def before_train(self, runner) -> None:
        loop = runner.train_loop
        meant_for = self.base_batch_size or loop.total_batch_size
        self.peak = self.lr * loop.total_batch_size / meant_for
        if self.warmup_share is None:
            self.warmup_steps = loop.steps(self.warmup_epochs)
        else:
            self.warmup_steps = round(self.warmup_share * loop.max_iters)
        runner.logger.info(
            f'Learning rate: {self.peak:g} = {self.lr:g} x {loop.total_batch_size} / {meant_for} after '
            f'{self.warmup_steps} of {loop.max_iters} steps'
        )

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        lr = warmup_cosine(runner.iter, self.warmup_steps, runner.max_iters, self.peak, self.start, self.end)
        for group, share in zip(runner.optim_wrapper.param_groups, self.shares, strict=True):
            group['lr'] = lr * share
