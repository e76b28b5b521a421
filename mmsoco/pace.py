"""How long a training will take on this machine, from a few real steps of it."""

import json
import math
import os
import shlex
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmsoco.errors import UserError
from mmsoco.steps import run_logged

#: Steps that are tried, at least, and how many of them start workers and choose kernels.
STEPS, WARM = 7, 2
#: Batches that a worker of a loader makes in advance: torch's default.
PREFETCH = 2
#: What makes a run write each step's own time.
_EACH_STEP = 'default_hooks.logger.interval=1 log_processor.window_size=1 default_hooks.checkpoint.interval=1000000'


class OutOfMemory(UserError):
    """The machine's memory did not hold a step."""


@dataclass(frozen=True)
class Pace:
    """Seconds of a training's parts.

    Attributes:
        start: All around the steps: imports, reading, building, the last evaluation or probe, saving.
        step: An optimizer step.
        probe: A probe between steps.
    """

    start: float
    step: float
    probe: float = 0.0

    def seconds(self, steps: int, interval: int | None = None) -> float:
        """Of a run of so many steps, with a probe every ``interval`` and at the end."""
        between = math.ceil(steps / interval) - 1 if interval else 0
        return self.start + steps * self.step + between * self.probe

    def steps_in(self, seconds: float, interval: int | None = None) -> int:
        """The steps that fit into a time; 0 or less where none do."""
        each = self.step + (self.probe / interval if interval else 0)
        return math.floor((seconds - self.start) / each)


@dataclass(frozen=True)
class TrialRun:
    """The steps that are tried of a training.

    Batches of a loader come in bursts, one of each worker. The first ones are made while the training starts, and
    say nothing of those to come.

    Attributes:
        workers: Of the loader; 0 counts as 1.
    """

    workers: int = 1

    @property
    def warm(self) -> int:
        """The steps that do not count: of the batches that are made in advance, and of those after them."""
        return max(WARM, (PREFETCH + 1) * self.workers)

    @property
    def steps(self) -> int:
        """All of them: those that count are some bursts, and one with a probe before it."""
        return max(STEPS, self.warm + self.burst + 3)

    @property
    def burst(self) -> int:
        """The steps after which the loader has taken as long as it will on average."""
        return max(1, self.workers)

    @property
    def probe(self) -> int:
        """The step after which a pretraining is probed: the last but one, as workers go on meanwhile."""
        return self.steps - 1

    def pace(self, times: Mapping[int, float], wall: float, probed: bool) -> Pace:
        """What the times of the steps say.

        Args:
            times: Step -> seconds since the step before; that of the last one has the probe's.
            wall: Seconds of the whole process.
            probed: Whether there was a probe.
        """
        counted = [times[n] for n in range(self.warm + 1, self.steps + (not probed))]
        bursts = [statistics.mean(counted[i : i + self.burst]) for i in range(len(counted) - self.burst + 1)]
        step = statistics.median(bursts)
        probe = max(times[self.steps] - step, 0.0) if probed else 0.0
        return Pace(max(wall - len(times) * step - probe, 0.0), step, probe)


def measure_pace(
    config: str | Path,
    options: str = '',
    arguments: str = '',
    pretraining: bool = True,
    workers: int = 1,
    processes: int = 1,
) -> Pace:
    """Train a config for some steps in a folder that is then removed.

    Args:
        config: Path, or name, of a config.
        options: More of what ``--cfg-options`` takes.
        arguments: More arguments of ``tools/train.py``, such as ``--device cpu``.
        pretraining: Else the config is one of mmdet that counts iterations.
        workers: Of its loader.
        processes: That will share the cores; one is tried.

    Raises:
        OutOfMemory: A step did not fit into the memory.
        UserError: It failed otherwise; the message is the run's own.
    """
    trial = TrialRun(workers)
    if pretraining:
        length = f'train_cfg.max_steps={trial.steps} default_hooks.probe.interval={trial.probe}'
    else:
        length = f'train_cfg.max_iters={trial.steps} train_cfg.val_interval={trial.steps}'
    with tempfile.TemporaryDirectory(prefix='mmsoco-pace-') as folder:
        log, run = Path(folder, 'log'), Path(folder, 'run')
        start = time.monotonic()
        words = shlex.join(['tools/train.py', str(config), '--work-dir', str(run)])
        try:
            with _share_of_cores(processes):
                line = f'{words} {arguments} --cfg-options {_EACH_STEP} {length} {options}'
                run_logged(line, log, show_bars=False)
        except UserError as error:
            raise _explained(log.read_text('utf-8', 'replace'), error) from None
        wall = time.monotonic() - start
        return trial.pace(step_times(run, trial.steps), wall, pretraining)


@contextmanager
def _share_of_cores(processes: int) -> Iterator[None]:
    """Let what is started in the block have as many cores as one of so many processes will have."""
    if processes == 1 or not hasattr(os, 'sched_setaffinity'):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[: max(1, len(mine) // processes)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def step_times(work_dir: Path, steps: int) -> dict[int, float]:
    """Step -> seconds, of a run that wrote each step's."""
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    entries = map(json.loads, file.read_text().splitlines())
    return {entry['step']: entry['time'] for entry in entries if 'time' in entry and entry['step'] <= steps}


def _explained(log: str, error: UserError) -> UserError:
    """The error of a measured run: its own words, as its log is removed."""
    words = [line.partition('error: ')[2] for line in log.splitlines() if line.startswith('error: ')]
    # A process that the system killed over memory says nothing.
    if 'out of memory' in log.lower() or "can't allocate memory" in log or 'status -9' in str(error):
        return OutOfMemory('a step does not fit into the memory; give fewer images a step by --batch')
    last = [line.strip() for line in log.splitlines() if line.strip()][-1:]
    return UserError(words[-1] if words else f'{last[0] if last else error} (in a trial of some steps)')
