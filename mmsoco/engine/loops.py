"""The training loop."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmsoco.engine.draws import seed_step
from mmsoco.engine.figures import SKIPPED, Figures, to_be_logged
from mmsoco.engine.loader import fit_to_workers, next_batch
from mmsoco.engine.model import bare_model
from mmsoco.engine.together import Together
from mmsoco.errors import UserError, reason
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

    The device is waited for only in steps whose figures somebody reads: those in which a
    hook's ``interval`` is over, the last ones of epochs, and while steps are skipped. The
    hooks' ``after_figures`` is then given the figures of all steps since; in other steps
    ``after_train_iter`` gets no outputs.

    Args:
        runner: The Runner.
        dataloader: Loader with an ``EpochSampler``, or its config.
        max_epochs: Epochs to train; or
        max_steps: optimizer steps to train, which may end in the middle of an epoch.
            For small data sets: it is steps that a network needs.

    Raises:
        UserError: Both are given, or none; or it is not a number from 1 on.
    """

    def __init__(
        self, runner, dataloader: DataLoader | dict, max_epochs: int | None = None, max_steps: int | None = None
    ):
        if (max_epochs is None) == (max_steps is None):
            raise UserError('train_cfg of a pretraining takes either max_epochs or max_steps; delete the other one')
        name, length = ('max_steps', max_steps) if max_epochs is None else ('max_epochs', max_epochs)
        if not isinstance(length, int) or length < 1:
            raise UserError(f'train_cfg.{name} {length} is not a number of 1 or more; set one')
        dataloader = fit_to_workers(dataloader) if isinstance(dataloader, dict) else dataloader
        super().__init__(runner, dataloader, max_epochs or 1)
        self.sampler = self.dataloader.sampler
        self._together = Together()
        self._figures = Figures()
        self._skipping = False
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
        if self._iter < self._max_iters:
            batch = self._next(batches)
            try_out(bare_model(self.runner), batch, waits=waits_for_gradients(self.runner.model))
            batches = chain([batch], batches)
        self.runner.call_hook('before_train')
        while self._epoch < self._max_epochs and not self.stop_training:
            self.runner.call_hook('before_train_epoch')
            self.runner.model.train()
            left = self._max_iters - self._epoch * self.sampler.steps_per_epoch
            for _ in range(first, min(self.sampler.steps_per_epoch, left)):
                self.run_iter(self._iter, (self._next(batches) for _ in range(accumulate)))
            first = 0
            self.runner.call_hook('after_train_epoch')
            self._epoch += 1
        self.runner.call_hook('after_train')
        return self.runner.model

    def _next(self, batches: Iterator[dict]) -> dict:
        """The next batch; where the data end the run, hooks may say more of them, and all processes leave."""
        batch = error = None
        try:
            batch = next_batch(batches, self.dataloader)
        except UserError as raised:
            error = raised
            self.runner.call_hook('after_bad_data')
        self._together.raise_any(error)
        return batch

    def run_iter(self, idx: int, data_batch: Iterable[dict]) -> None:
        """One optimizer step.

        Args:
            idx: Number of the step. Not of the step in its epoch: LoggerHook
                would compare that with the loader's length in micro-batches.
            data_batch: The step's micro-batches, each of which is asked for when it is computed: the
                loader works meanwhile. Hooks are given the first one before the step, the last one after it.
        """
        outputs = []
        for number, batch in enumerate(data_batch):
            if number == 0:
                self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=batch)
            seed_step(self.runner.seed, get_rank(), idx, number)
            outputs.append(self.runner.model.train_step(batch, self.runner.optim_wrapper))
        self._figures.add(outputs, self.runner.optim_wrapper)
        read = self._read_figures() if self._somebody_reads() else None
        self.runner.call_hook('after_train_iter', batch_idx=idx, data_batch=batch, outputs=read)
        self._iter += 1

    def _somebody_reads(self) -> bool:
        return (
            self._skipping
            or ends_epoch(self.runner)
            or self._iter + 1 == self._max_iters
            or any(_is_due(hook, self.runner) for hook in self.runner.hooks)
        )

    def _read_figures(self) -> dict[str, float]:
        """Give hooks the figures of the steps since the last time, and the log; returns this step's."""
        steps = self._figures.fetch()
        self._skipping = bool(steps[-1].get(SKIPPED))
        *earlier, latest = map(to_be_logged, steps)
        for step in earlier:  # the latest comes into the log by the hooks
            for name, value in step.items():
                self.runner.message_hub.update_scalar(f'train/{name}', value)
        self.runner.call_hook('after_figures', steps=steps)
        return latest


def _is_due(hook: Hook, runner: Runner) -> bool:
    """Whether a hook that does something every so many steps does it in this one."""
    interval = getattr(hook, 'interval', None)
    return (
        isinstance(interval, int)
        and not getattr(hook, 'by_epoch', False)
        and hook.every_n_train_iters(runner, interval)
    )


def steps_of_epoch(loop: BaseLoop) -> int | None:
    """Steps of an epoch; None for a loop that has no epochs."""
    if isinstance(loop, PretrainLoop):
        return loop.sampler.steps_per_epoch
    return len(loop.dataloader) if isinstance(loop, EpochBasedTrainLoop) else None


def ends_epoch(runner: Runner) -> bool:
    """Whether the step whose hooks are called is an epoch's last, so that the epoch's own follow at once."""
    steps = steps_of_epoch(runner.train_loop)
    return steps is not None and (runner.iter + 1) % steps == 0


class RestOfEpoch:
    """A loader that, once, leaves out the batches that were trained on before the run was stopped.

    mmengine's epochs begin at the first batch again.

    Args:
        loader: The loader, whose batches are the same in a repeated epoch.
        done: Batches to leave out.
    """

    def __init__(self, loader: DataLoader, done: int):
        self._loader = loader
        self._done = done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator:
        done, self._done = self._done, 0
        return islice(self._loader, done, None)


def waits_for_gradients(model: nn.Module) -> bool:
    """Whether processes wait for each other until all parameters of a model have gradients."""
    return get_world_size() > 1 and not getattr(model, 'find_unused_parameters', False)


def try_out(model: nn.Module, batch: dict, waits: bool = False) -> None:
    """Run a model once on two samples, so that parts that do not fit are refused before the first step.

    Nothing is changed: statistics of norms, random state and weights stay.

    Args:
        model: The model itself.
        batch: Of the loader; it stays as it is.
        waits: Whether processes wait for each parameter's gradient.

    Raises:
        UserError: A part does not take what the one before it gives; or some
            parameters get no gradient, for which processes would wait.
    """
    training = model.training
    model.eval()
    last = None
    try:
        inputs = model.data_preprocessor(first_samples(batch, 2), training=True)
        with last_convolution(model) as last:
            losses = model(**inputs, mode='loss')
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, LookupError, AssertionError, AttributeError, StopIteration) as error:
        advice = 'compare the channels and maps that a part gives with those that the next one takes'
        if last and last.is_first and last.takes != last.given:
            advice = (
                f'{last.name} takes images of {last.takes} channels, and these have {last.given}; set '
                f'model.backbone.in_channels={last.given}'
            )
        raise UserError(
            f'the parts of the model do not fit together, or not the data: {reason(error)}; {advice}'
        ) from error
    finally:
        model.train(training)
    loss, _ = model.parse_losses(losses)
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    idle = [name for (name, _), gradient in zip(named, gradients, strict=True) if gradient is None]
    if idle:
        words = f'{len(idle)} parameters of the model get no gradient, first {idle[0]}'
        if waits:
            raise UserError(f'{words}: processes would wait for each other; leave the layer out, or freeze it')
        print_log(f'{words}; they stay as they are', 'current', logging.WARNING)


@dataclass
class _Called:
    """The convolution that was called last: its name, the channels that it takes, and those it was given."""

    name: str = ''
    takes: int = 0
    given: int = 0
    calls: int = 0

    @property
    def is_first(self) -> bool:
        return self.calls == 1


@contextmanager
def last_convolution(model: nn.Module) -> Iterator[_Called]:
    """Watch the convolutions of a model: where it fails, the last one may say why."""
    last = _Called()

    def note(name: str, module: nn.Conv2d, args: tuple) -> None:
        last.name, last.takes, last.given, last.calls = name, module.in_channels, args[0].shape[1], last.calls + 1

    hooks = [
        module.register_forward_pre_hook(partial(note, name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        yield last
    finally:
        for hook in hooks:
            hook.remove()


def first_samples(batch: Any, count: int) -> Any:
    """The first samples of a batch: of its tensors and lists, in whatever dicts."""
    if isinstance(batch, dict):
        return {key: first_samples(part, count) for key, part in batch.items()}
    return batch[:count]
