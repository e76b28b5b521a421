"""Optimizer steps that leave out gradients that are not finite, in any precision, and never wait for the device."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from mmsoco.registry import OPTIM_WRAPPERS

#: Bytes of a number -> integers of that size.
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
#: What norms measure.
_STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


@OPTIM_WRAPPERS.register_module()
class FiniteOptimWrapper(OptimWrapper):
    """Measure the gradient's norm, and skip the step where it is not finite.

    Nothing is fetched from the device: a step is taken in any case, and undone there
    if it was not to be. The norm goes to the log with the step's losses.

    A step that is left out leaves the running statistics of the norms as they were, too: a forward that
    is not finite would spoil them for good, and no loss would tell, since training never reads them.

    Under DDP gradients are averaged before the step, so all processes see the
    same norm and skip alike.

    Attributes:
        norm: Of the last step's gradient, a scalar on the device; None before the first.
        in_a_row: Steps left out in a row, up to now; likewise.
    """

    norm: Tensor | None = None
    in_a_row: Tensor | None = None
    #: Of the model's norms, while a step is made.
    _statistics: 'Snapshot | None' = None

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Remember the norms' statistics before the first of a step's forwards."""
        if self._statistics is None:
            found = (getattr(module, name, None) for module in model.modules() for name in _STATISTICS)
            self._statistics = Snapshot(tensor for tensor in found if isinstance(tensor, Tensor))
        with super().optim_context(model):
            yield

    @property
    def skipped(self) -> int:
        """Steps left out in a row, up to now; asking waits for the device."""
        return 0 if self.in_a_row is None else int(self.in_a_row)

    def step(self, **kwargs) -> None:
        """Step, or skip it."""
        finite = self._gradient_is_finite()
        with undone_unless(finite, self.optimizer):
            super().step(**kwargs)
        if self._statistics is not None:
            self._statistics.take_back_unless(finite)
            self._statistics = None

    def _clip_grad(self) -> None:
        # mmengine's fetches the norm to log it.
        params = [p for group in self.optimizer.param_groups for p in group['params'] if p.grad is not None]
        self.clip_func(params, **self.clip_grad_kwargs)

    @torch.no_grad()
    def _gradient_is_finite(self) -> Tensor:
        grads = [p.grad for group in self.optimizer.param_groups for p in group['params'] if p.grad is not None]
        self.norm = torch.stack(torch._foreach_norm(grads)).norm()
        finite = self.norm.isfinite()
        before = torch.zeros_like(finite, dtype=torch.int64) if self.in_a_row is None else self.in_a_row
        self.in_a_row = (before + 1) * ~finite
        return finite


@OPTIM_WRAPPERS.register_module()
class FiniteAmpOptimWrapper(AmpOptimWrapper, FiniteOptimWrapper):
    """The same in mixed precision on a GPU, where a skipped step chooses a smaller scale of the loss."""

    def step(self, **kwargs) -> None:
        """Step, or skip it."""
        self.loss_scaler.unscale_(self.optimizer)
        # Not by the scaler's step, which asks the device whether to take it.
        FiniteOptimWrapper.step(self, **kwargs)
        self.loss_scaler.update(self._scale_update_param)


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Autocast to bfloat16, on whatever device the model is; mmengine's AmpOptimWrapper refuses CPUs.

    There is no loss scaling: bfloat16 has the range of float32. All else is mmengine's, for its own loops:
    each step is taken, and ``grad_norm`` is logged where it is clipped.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and no gradient synchronisation between accumulated batches."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


# Earlier versions had it for CPUs alone.
@OPTIM_WRAPPERS.register_module(name=['BFloat16OptimWrapper', 'CPUAmpOptimWrapper'])
class BFloat16OptimWrapper(AutocastOptimWrapper, FiniteOptimWrapper):
    """Both: in bfloat16, without the steps whose gradient is not finite; for pretraining, which ends where all are."""


@contextmanager
def undone_unless(keep: Tensor, optimizer: Optimizer) -> Iterator[None]:
    """Take back what an optimizer's step does to parameters and state, bit by bit, where the device decides so.

    What the first step adds to the state becomes zeros, which is what optimizers begin with.

    Bits are chosen by products of integers with 0 and 1, for which torch has calls for all tensors at once.

    It needs a copy of the parameters and their state, of less than the activations took
    that are gone by then. Of an optimizer of torch that counts steps, the counts are put
    on the device; one that keeps them elsewhere is waited for.

    Args:
        keep: A bool of the device: whether the step stays.
    """
    count_on_device(optimizer)
    numbers = {p: _numbers(state) for p, state in optimizer.state.items()}
    with torch.no_grad():
        before = {}
        for kind, bits in _alike(_changing(optimizer)).items():
            # What is to come back, or zeros.
            before.update(zip(bits, torch._foreach_mul([*bits.values()], (~keep).to(*kind)), strict=True))
    yield
    with torch.no_grad():
        for kind, bits in _alike(_changing(optimizer)).items():
            torch._foreach_mul_([*bits.values()], keep.to(*kind))
            known = [key for key in bits if key in before]
            if known:
                torch._foreach_add_([bits[key] for key in known], [before[key] for key in known])
    for p, state in optimizer.state.items():
        now, old = _numbers(state), numbers.get(p, {})
        if now != old and not keep:
            state.update({name: old.get(name, type(value)()) for name, value in now.items()})


class Snapshot:
    """What tensors are now, to be taken back bit by bit where the device decides so.

    Some calls for all of them, however many there are.

    Args:
        tensors: To be changed in place alone.
    """

    def __init__(self, tensors: Iterable[Tensor]):
        self._bits = {kind: [*bits.values()] for kind, bits in _alike(((i,), t) for i, t in enumerate(tensors)).items()}
        self._before = {kind: torch._foreach_add(bits, 0) for kind, bits in self._bits.items()}

    @torch.no_grad()
    def take_back_unless(self, keep: Tensor) -> None:
        """Make the tensors what they were, unless a bool of the device says that they stay."""
        for kind, bits in self._bits.items():
            torch._foreach_mul_(bits, keep.to(*kind))
            torch._foreach_add_(bits, torch._foreach_mul(self._before[kind], (~keep).to(*kind)))


def _alike(tensors: Iterable[tuple[tuple, Tensor]]) -> dict[tuple[torch.device, torch.dtype], dict[tuple, Tensor]]:
    """Tensors' bits as integers, by device and type."""
    found: dict[tuple[torch.device, torch.dtype], dict[tuple, Tensor]] = {}
    for key, tensor in tensors:
        bits = tensor.view(_INTEGERS[tensor.itemsize])
        found.setdefault((bits.device, bits.dtype), {})[key] = bits
    return found


def _changing(optimizer: Optimizer) -> Iterator[tuple[tuple, Tensor]]:
    """The parameters that have a gradient, and the tensors of their state, each with what it is known by."""
    for group in optimizer.param_groups:
        for p in group['params']:
            if p.grad is not None:
                yield (p,), p
                state = optimizer.state.get(p, {})
                yield from (((p, name), value) for name, value in state.items() if isinstance(value, Tensor))


def _numbers(state: dict) -> dict:
    return {name: value for name, value in state.items() if isinstance(value, (int, float))}


def count_on_device(optimizer: Optimizer) -> None:
    """Let an optimizer of torch count its steps where the parameters are, also one that was resumed from elsewhere."""
    for group in optimizer.param_groups:
        if 'capturable' not in group or group.get('fused'):
            continue
        # A checkpoint brings along what its own device had; torch refuses True on a CPU.
        group['capturable'] = group['params'][0].is_cuda
        for p in group['params']:
            step = optimizer.state.get(p, {}).get('step')
            if isinstance(step, Tensor) and step.device != p.device:
                optimizer.state[p]['step'] = step.to(p.device, non_blocking=p.is_cuda)
