"""The training loop."""

import torch
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from mmsoco.errors import UserError
from mmsoco.registry import LOOPS


@LOOPS.register_module()
class PretrainLoop(EpochBasedTrainLoop):
    """Epochs over an endless loader, counted in optimizer steps.

    ``runner.iter`` is the number of optimizer steps, also under gradient
    accumulation: an iteration takes as many micro-batches as the sampler says.
    So schedules, checkpoints and logs all count the same thing.

    The loader is an :class:`~mmsoco.datasets.EpochSampler`'s: it is not
    restarted between epochs, and a resumed run, also one from the middle of an
    epoch, begins at the sample after the last one it saw.

    Args:
        runner: The Runner.
        dataloader: Loader with an ``EpochSampler``, or its config.
        max_epochs: Epochs to train; or
        max_steps: optimizer steps to train, which may end in the middle of an epoch.
            For small data sets: it is steps that a network needs.

    Raises:
        UserError: Both are given, or none.
    """

    def __init__(
        self, runner, dataloader: DataLoader | dict, max_epochs: int | None = None, max_steps: int | None = None
    ):
        if (max_epochs is None) == (max_steps is None):
            raise UserError('train_cfg of a pretraining takes either max_epochs or max_steps; delete the other one')
        super().__init__(runner, dataloader, max_epochs or 1)
        self.sampler = self.dataloader.sampler
        per_epoch = self.sampler.steps_per_epoch
        self._max_iters = max_steps or max_epochs * per_epoch
        self._max_epochs = -(-self._max_iters // per_epoch)

    @property
    def total_batch_size(self) -> int:
        """Images an optimizer step, over all processes and micro-batches."""
        return self.sampler.total_batch_size

    def steps(self, epochs: float) -> int:
        """Optimizer steps of so many epochs."""
        return round(epochs * self.sampler.steps_per_epoch)

    def run(self):
        """Launch training, or go on with it."""
        self._epoch, first = divmod(self._iter, self.sampler.steps_per_epoch)
        self.sampler.start_step = self._iter
        accumulate = self.sampler.accumulate
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model, self._iter * accumulate, self._max_iters * accumulate
        )
        # Before the hooks, one of which restores torch's random state: a loader
        # takes a number from it.
        batches = iter(self.dataloader)
        self.runner.call_hook('before_train')
        while self._epoch < self._max_epochs and not self.stop_training:
            self.runner.call_hook('before_train_epoch')
            self.runner.model.train()
            left = self._max_iters - self._epoch * self.sampler.steps_per_epoch
            for _ in range(first, min(self.sampler.steps_per_epoch, left)):
                self.run_iter(self._iter, [next(batches) for _ in range(accumulate)])
            first = 0
            self.runner.call_hook('after_train_epoch')
            self._epoch += 1
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, idx: int, data_batch: list[dict]) -> None:
        """One optimizer step.

        Args:
            idx: Number of the step. Not of the step in its epoch: LoggerHook
                would compare that with the loader's length in micro-batches.
            data_batch: The step's micro-batches. Hooks are given the last one.
        """
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch[-1])
        outputs = [self.runner.model.train_step(batch, self.runner.optim_wrapper) for batch in data_batch]
        self.runner.call_hook('after_train_iter', batch_idx=idx, data_batch=data_batch[-1], outputs=average(outputs))
        self._iter += 1


def average(outputs: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Mean of each logged value over micro-batches, fetched from the device at once."""
    values = torch.stack([torch.stack([value.detach().float() for value in output.values()]) for output in outputs])
    return dict(zip(outputs[0], values.mean(dim=0).tolist(), strict=True))
