"""BN over all processes that never waits for the device, and that runs without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm as TorchFunction
from torch.nn.modules.batchnorm import _BatchNorm

#: Whether torch's own picks the processes that have samples by a mask, for which it waits for the device.
TORCH_WAITS = 'mask' in TorchFunction.forward.__code__.co_varnames
#: Statistics over all processes: mean and 1 / deviation, (C,) each, and how many values each process has, (P,).
Statistics = tuple[Tensor, Tensor, Tensor]


class SyncBatchNorm(nn.SyncBatchNorm):
    """torch's SyncBatchNorm, with the same values, and these differences.

    - It never waits for the device. torch's leaves out processes without samples by
      a mask, three times in every forward; here these weigh nothing (see
      ``_local_statistics``), so any counts will do, equal or not.
    - It runs on a CPU, too, where processes talk by gloo.
    - Gradients are laid out as the input is; torch's brings those of a channels_last
      map that arrive otherwise, as RoIAlign's do, to its slow kernels.
    - In :func:`~mmsoco.models.sync_bn.remembering` a forward's statistics are kept, and taken again when
      it is recomputed.

    One message a layer forwards, one backwards, as torch's. ``momentum=None`` asks the
    device how many batches there were. A torch that does not wait is left to itself on a GPU.
    """

    _memory: list[Statistics] | None = None
    _replays = False

    def forward(self, input: Tensor) -> Tensor:
        """(N, C) or (N, C, ...) to the same."""
        if not self.training or not distributed.is_initialized() or distributed.get_world_size(self.process_group) == 1:
            return _BatchNorm.forward(self, input)
        if input.is_cuda and not TORCH_WAITS and self._memory is None:
            return super().forward(input)
        return self._forward(input)

    # torch.compile makes two parts of what stands before and behind.
    @torch.compiler.disable
    def _forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        self._check_non_zero_input_channels(input)
        momentum, mean, var = self.momentum, None, None
        if self.track_running_stats:
            mean, var = self.running_mean, self.running_var
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1.0 / self.num_batches_tracked.item()
        group = self.process_group or distributed.group.WORLD
        if self._replays:
            statistics = self._memory.pop(0)
        else:
            with torch.no_grad():
                statistics = _statistics(input, mean, var, momentum or 0.0, self.eps, group)
            if self._memory is not None:
                self._memory.append(statistics)
        return _Normalise.apply(input, self.weight, self.bias, self.eps, group, *statistics)


def synchronise(model: nn.Module) -> nn.Module:
    """Make every BN layer of a model a :class:`SyncBatchNorm`, in place: parameters, statistics and hooks stay."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            module.process_group = getattr(module, 'process_group', None)
            module.__class__ = SyncBatchNorm
    return model


@contextmanager
def remembering(layers: list[SyncBatchNorm], memory: dict[SyncBatchNorm, list], replay: bool) -> Iterator[None]:
    """Keep the statistics of a forward, or take those that were kept.

    Args:
        layers: What runs in it.
        memory: Layer -> its statistics, call by call.
        replay: Whether to take them.
    """
    for layer in layers:
        layer._memory, layer._replays = memory.setdefault(layer, []), replay
    try:
        yield
    finally:
        for layer in layers:
            layer._memory, layer._replays = None, False


class _Normalise(torch.autograd.Function):
    """Normalise by statistics over all processes, whose gradient goes to all of them."""

    @staticmethod
    def forward(ctx, input, weight, bias, eps, group, mean, invstd, counts):
        input = _dense(input)
        ctx.save_for_backward(input, weight, mean, invstd, counts)
        ctx.group = group
        return _apply(input, weight, bias, mean, invstd, eps)

    @staticmethod
    def backward(ctx, gradient):
        input, weight, mean, invstd, counts = ctx.saved_tensors
        gradient = _dense(gradient, like=input)
        wanted = ctx.needs_input_grad[:3]
        sums, grad_weight, grad_bias = _gradient_sums(gradient, input, weight, mean, invstd, wanted)
        grad_input = None
        if wanted[0]:
            distributed.all_reduce(sums, group=ctx.group)
            grad_input = _gradient(gradient, input, weight, mean, invstd, sums, counts)
        return (grad_input, grad_weight if wanted[1] else None, grad_bias if wanted[2] else None, *[None] * 5)


def _dense(x: Tensor, like: Tensor | None = None) -> Tensor:
    """A tensor in the layout of another one, or its own if that has no gaps."""
    for layout, ndim in ((torch.channels_last, 4), (torch.channels_last_3d, 5)):
        if x.ndim == ndim and (x if like is None else like).is_contiguous(memory_format=layout):
            return x.contiguous(memory_format=layout)
    return x.contiguous()


def _statistics(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: float,
    eps: float,
    group: distributed.ProcessGroup,
) -> Statistics:
    """Statistics of all processes' values, in one message; those that are running follow them."""
    channels = input.shape[1]
    combined = _local_statistics(_dense(input), eps)
    if distributed.get_backend(group) == 'gloo':
        rows = [torch.empty_like(combined) for _ in range(distributed.get_world_size(group))]
        distributed.all_gather(rows, combined, group)
        rows = torch.stack(rows)
    else:
        rows = combined.new_empty(distributed.get_world_size(group), len(combined))
        distributed.all_gather_into_tensor(rows, combined, group)
    means, invstds, counts = rows.split([channels, channels, 1], dim=1)
    counts = counts.flatten()
    if input.is_cuda:
        if running_mean is not None:
            counts = counts.to(running_mean.dtype)
        mean, invstd = torch.batch_norm_gather_stats_with_counts(
            input, means, invstds, running_mean, running_var, momentum, eps, counts
        )
        return mean, invstd, counts.to(torch.int32)
    total = counts.sum()
    share = (counts / total)[:, None]
    mean = (share * means).sum(dim=0)
    var = (share * (invstds**-2 - eps + (means - mean) ** 2)).sum(dim=0)
    if running_mean is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((var * (total / (total - 1))).to(running_var.dtype), momentum)
    return mean, (var + eps).rsqrt(), counts


def _local_statistics(input: Tensor, eps: float) -> Tensor:
    """(2C + 1,): mean and 1 / deviation of this process' values, and their number.

    Without samples these are 0, 1 and next to nothing: torch's kernel divides by the
    sum of the counts so far, and 1e-30 is lost beside any number of samples.
    """
    channels = input.shape[1]
    if input.numel() == 0:
        empty = input.new_zeros(2 * channels + 1, dtype=_at_least_float(input))
        empty[channels:-1], empty[-1] = 1.0, 1e-30
        return empty
    if input.is_cuda:
        mean, invstd = torch.batch_norm_stats(input, eps)
    else:
        var, mean = torch.var_mean(input.to(_at_least_float(input)), _all_but_channels(input), correction=0)
        invstd = (var + eps).rsqrt()
    return torch.cat([mean, invstd, mean.new_full((1,), input.numel() // channels)])


# What torch has as kernels for CUDA alone, and for the CPU in the same arithmetic, in float32 or better.


def _at_least_float(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _all_but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]


def _of_channels(values: Tensor, x: Tensor) -> Tensor:
    """(C,) to what is multiplied with (N, C, ...)."""
    return values.view(-1, *[1] * (x.ndim - 2))


def _apply(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, invstd: Tensor, eps: float
) -> Tensor:
    if input.numel() == 0:
        return torch.empty_like(input)
    if input.is_cuda:
        return torch.batch_norm_elemt(input, weight, bias, mean, invstd, eps)
    # In eval mode torch's own for the CPU normalises by what it is given: in one pass, in any layout.
    return functional.batch_norm(input, mean, invstd**-2 - eps, weight, bias, False, 0.0, eps)


def _gradient_sums(
    gradient: Tensor,
    input: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    invstd: Tensor,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """(2C,) sums that the input's gradient is made of; the weight's and the bias' gradients, of this process.

    On a GPU those that are not ``wanted`` are None: the kernel has no place for them.
    """
    if input.numel() == 0:
        nothing = torch.zeros_like(mean)
        return torch.cat([nothing, nothing]), nothing, nothing
    if input.is_cuda:
        total, along, grad_weight, grad_bias = torch.batch_norm_backward_reduce(
            gradient, input, mean, invstd, weight, *wanted
        )
        return torch.cat([total, along]) if wanted[0] else None, grad_weight, grad_bias
    dims, gradient = _all_but_channels(input), gradient.to(mean.dtype)
    total = gradient.sum(dims)
    along = (gradient * (input - _of_channels(mean, input))).sum(dims)
    like = mean if weight is None else weight
    return torch.cat([total, along]), (along * invstd).to(like.dtype), total.to(like.dtype)


def _gradient(
    gradient: Tensor, input: Tensor, weight: Tensor | None, mean: Tensor, invstd: Tensor, sums: Tensor, counts: Tensor
) -> Tensor:
    if input.numel() == 0:
        return torch.zeros_like(input)
    total, along = sums.chunk(2)
    if input.is_cuda:
        if weight is not None:
            weight = weight.to(mean.dtype)
        return torch.batch_norm_backward_elemt(gradient, input, mean, invstd, weight, total, along, counts)
    number = counts.sum()
    scale = invstd if weight is None else invstd * weight
    centred = input - _of_channels(mean, input)
    slope = _of_channels(along / number * invstd**2, input)
    centre = _of_channels(total / number, input)
    return ((gradient - centre - centred * slope) * _of_channels(scale, input)).to(input.dtype)
