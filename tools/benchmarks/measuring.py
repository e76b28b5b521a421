"""A hook that measures the training it is put into."""

import re
import time
from collections.abc import Iterable

import torch
from clock import Clock, seconds_of, spread
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from mmsoco.engine.model import bare_model
from mmsoco.registry import HOOKS

#: NCCL's kernels; of gloo, which has none, what torch records of its work.
COLLECTIVES = re.compile(r'nccl(Dev)?Kernel|gloo:')


@HOOKS.register_module()
class MeasureHook(Hook):
    """Watch a training's steps, and profile some more of them for what processes tell each other.

    The steps are the training's own. On CUDA the device is not waited for between them, beyond what the
    training does itself.

    Args:
        warmup: Steps that are not measured.
        steps: Steps that are.
        profiled: Steps after these, under torch's profiler, where there are several processes.

    Attributes:
        parts: Part -> seconds a step, median, lowest and highest; ``step`` is their sum.
        images_per_second: Of all processes together, over all measured steps.
        allocated, reserved: Bytes of this device at most; None without CUDA.
        collectives: Seconds a step of this process' collectives, beside what they overlap with,
            waiting for slower processes included; None where there is one process.
    """

    priority = 'LOWEST'

    def __init__(self, warmup: int = 5, steps: int = 20, profiled: int = 3):
        self.warmup, self.steps, self.profiled = warmup, steps, profiled
        self.parts: dict[str, dict[str, float]] = {}
        self.images_per_second = 0.0
        self.allocated = self.reserved = self.collectives = None
        self._measures = False
        self._taken: list = []
        self._profile: profile | None = None
        self._began = 0.0

    @property
    def total(self) -> int:
        """Steps that the training must have."""
        return self.warmup + self.steps + self.profiled

    def before_train(self, runner) -> None:
        """Name the parts."""
        model, wrapper = bare_model(runner), runner.optim_wrapper
        device = next(model.parameters()).device
        self._cuda = device.type == 'cuda'
        self.clock = clock = Clock(device)
        clock.watch(runner.train_loop, '_next', 'waiting for data')
        clock.watch(model.data_preprocessor, 'forward', 'preprocessing')
        clock.watch(model, 'forward', 'forward, online')
        if hasattr(model, 'target'):
            named = lambda network, *_, **__: f'forward, {"target" if network is model.target else "online"}'  # noqa: E731
            clock.watch(model, 'embed', named)
        clock.watch(model, 'update_target', 'target update')
        clock.watch(wrapper, 'backward', 'backward')
        clock.watch(wrapper, 'step', 'optimizer')
        clock.watch(wrapper, 'zero_grad', 'optimizer')
        if self._cuda:
            # Before other hooks have their turn: LoggerHook begins the peaks anew with each line that it logs.
            wrapper.optimizer.register_step_post_hook(self._note_memory)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Cut between two steps."""
        marks, done = self.clock.take(), runner.iter + 1
        if self.warmup < done <= self.warmup + self.steps:
            self._taken.append(marks)
        if done == self.warmup:
            self._wait()
            if self._cuda:
                torch.cuda.reset_peak_memory_stats()
            self._measures = True
            self._began = time.perf_counter()
        elif done == self.warmup + self.steps:
            self._wait()
            seconds = time.perf_counter() - self._began
            self.images_per_second = self.steps * runner.train_loop.total_batch_size / seconds
            self._measures = False
            if get_world_size() > 1:
                activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * self._cuda
                self._profile = profile(activities=activities)
                self._profile.start()
        elif done == self.total and self._profile is not None:
            self._wait()
            self._profile.stop()
            self.collectives = collective_seconds(self._profile.events()) / self.profiled

    def after_train(self, runner) -> None:
        """Read the clock."""
        self._wait()
        steps = [seconds_of(marks) for marks in self._taken]
        names = dict.fromkeys(name for step in steps for name in step)
        self.parts = {name: spread([step.get(name, 0.0) for step in steps]) for name in names}
        self.parts['step'] = spread([sum(step.values()) for step in steps])

    def _note_memory(self, *_) -> None:
        """A step's peaks, where they are the highest so far."""
        if self._measures:
            self.allocated = max(self.allocated or 0, torch.cuda.max_memory_allocated())
            self.reserved = max(self.reserved or 0, torch.cuda.max_memory_reserved())

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


def collective_seconds(events: Iterable[FunctionEvent]) -> float:
    """What collectives took of a profile; the annotations that the GPU's timeline repeats do not count."""
    found = [event for event in events if COLLECTIVES.match(event.name)]
    on_device = [event for event in found if event.device_type != DeviceType.CPU]
    return sum(event.time_range.elapsed_us() for event in on_device or found) / 1e6
