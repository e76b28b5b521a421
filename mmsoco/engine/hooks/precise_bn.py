"""BN statistics measured afresh before a detector is evaluated."""

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsoco.engine.model import bare_model
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Replace running averages of BN by statistics over fresh batches (Wu and Johnson 2021).

    Running averages follow weights that have since changed; with the small
    batches of detection that costs accuracy. The statistics are pooled over
    ``num_iters`` training batches, and over processes, with the weights as they
    are. It happens before the checkpoint of the same iteration is saved.

    mmpretrain's hook of this name does not run with mmdet's loaders and
    detectors; this one has a loader of its own and does loss-mode forwards.

    Args:
        interval: Iterations between two measurements, the same as between two
            evaluations; the last iteration has one, too.
        num_iters: Batches to measure (detectron2: 200).
        by_epoch: Whether the interval is of epochs.
    """

    def __init__(self, interval: int, num_iters: int = 200, by_epoch: bool = False):
        self.interval = interval
        self.by_epoch = by_epoch
        self.num_iters = num_iters
        self._stream = None

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        if due and not self.by_epoch:
            self._measure(runner)

    def after_train_epoch(self, runner) -> None:
        due = self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)
        if due and self.by_epoch:
            self._measure(runner)

    def _measure(self, runner) -> None:
        model = bare_model(runner)
        runner.logger.info(f'Measuring BN statistics on {self.num_iters} batches')
        if self._stream is None:  # kept: annotations are parsed once
            self._stream = endless(runner.build_dataloader(runner.cfg.train_dataloader, seed=runner.seed + 1))
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        # The detector draws its samples from torch's generator: measuring must
        # not change how training goes on. The context brings autocast.
        with torch.random.fork_rng(devices), runner.optim_wrapper.optim_context(model):
            measure_bn(model, islice(self._stream, self.num_iters))


def endless(loader: Iterable) -> Iterator:
    """The loader's batches, over and over."""
    while True:
        yield from loader


@torch.no_grad()
def measure_bn(model: nn.Module, batches: Iterable) -> None:
    """Set the running mean and variance of all BN layers that train to those over some batches.

    Of a layer that runs several times in a forward only the last run counts.

    Args:
        model: A model of mmengine; it is left in train mode, its weights unchanged.
        batches: Of its data loader.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    momenta = [layer.momentum for layer in layers]
    sums = [torch.zeros_like(torch.stack([layer.running_mean, layer.running_var])) for layer in layers]
    count = 0
    for layer in layers:
        layer.momentum = 1.0  # running statistics become the batch's
    for batch in batches:
        model(**model.data_preprocessor(batch, training=True), mode='loss')
        for layer, total in zip(layers, sums, strict=True):
            # First and second moments can be averaged; variances cannot.
            total += torch.stack([layer.running_mean, layer.running_var + layer.running_mean**2])
        count += 1
    for layer, momentum, total in zip(layers, momenta, sums, strict=True):
        all_reduce(total.div_(count), op='mean')
        layer.momentum = momentum
        layer.running_mean.copy_(total[0])
        layer.running_var.copy_(total[1] - total[0] ** 2)
