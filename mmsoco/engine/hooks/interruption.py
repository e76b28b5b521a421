"""Stopping a training on request."""

import signal

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from mmsoco.engine.hooks.checkpoint import CheckpointHook
from mmsoco.engine.interruption import Interrupted, stop_signals
from mmsoco.engine.loops import PretrainLoop, RestOfEpoch, ends_epoch
from mmsoco.engine.together import Together
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class InterruptionHook(Hook):
    """On SIGTERM (preemption, the end of a job) or Ctrl-C finish the step, save, and leave.

    Whichever process the signal reaches, all leave after the same step, when the
    checkpoint is written. ``tools/train.py`` gives this hook to every run.

    Raises:
        Interrupted: After a step, or in a validation between two steps.
    """

    # After all others: what they do at a step's end is part of it.
    priority = 'LOWEST'

    def __init__(self):
        self._together = Together()

    def before_train(self, runner) -> None:
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop) and not isinstance(loop, PretrainLoop):
            loop._epoch, done = divmod(runner.iter, len(loop.dataloader))
            loop.dataloader = RestOfEpoch(loop.dataloader, done)
        stop_signals.begin_training()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        # What belongs to the end of an epoch, or of the run, is still done.
        if not (ends_epoch(runner) or self.is_last_train_iter(runner)):
            self._stop_if_told(runner, runner.iter + 1, runner.epoch)

    def after_train_epoch(self, runner) -> None:
        if runner.iter < runner.max_iters:
            self._stop_if_told(runner, runner.iter, runner.epoch + 1)

    def before_val_epoch(self, runner) -> None:
        batches = len(runner.val_dataloader)
        self._even = self._together.highest(batches) == -self._together.highest(-batches)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        # Between two steps. Processes can only wait for each other where all come here.
        if self._even:
            self._stop_if_told(runner, runner.iter, runner.epoch)

    def _stop_if_told(self, runner, steps: int, epochs: int) -> None:
        """Save and leave where any process was told to.

        Args:
            steps, epochs: That are done.
        """
        number = self._together.highest(stop_signals.number)
        if not number:
            return
        saving = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        saved = 'nothing saved, as the config has no CheckpointHook'
        if saving is not None:
            saved = f'{saving.save_now(runner, steps, epochs)} is saved; the same command with --resume goes on'
        runner.call_hook('before_stop')
        # A launcher ends all others when the first has left.
        self._together.wait()
        raise Interrupted(f'by {signal.Signals(number).name} after step {steps}; {saved}', number)
