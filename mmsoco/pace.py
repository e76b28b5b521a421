"""How long a training will take on this machine, from a few real steps of it."""

import json
import math
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmsoco.errors import UserError
from mmsoco.steps import run_logged

#: Steps that are measured; those up to WARM start workers and choose kernels.
STEPS, WARM = 7, 2
#: In the middle of a measured pretraining there is a probe, after this step.
PROBE = 4
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


def pace_of(times: Mapping[int, float], wall: float, probed: bool) -> Pace:
    """What the times of :data:`STEPS` steps say.

    Args:
        times: Step -> seconds since the step before; that after :data:`PROBE` has the probe's.
        wall: Seconds of the whole process.
        probed: Whether there was a probe.
    """
    after_probe = PROBE + 1 if probed else None
    step = statistics.median(seconds for n, seconds in times.items() if n > WARM and n != after_probe)
    probe = max(times[after_probe] - step, 0.0) if probed else 0.0
    return Pace(max(wall - len(times) * step - probe, 0.0), step, probe)


def measure_pace(config: str | Path, options: str = '', arguments: str = '', pretraining: bool = True) -> Pace:
    """Train a config for :data:`STEPS` steps in a folder that is then removed.

    Args:
        config: Path, or name, of a config.
        options: More of what ``--cfg-options`` takes.
        arguments: More arguments of ``tools/train.py``, such as ``--device cpu``.
        pretraining: Else the config is one of mmdet that counts iterations.

    Raises:
        OutOfMemory: A step did not fit into the memory.
        UserError: It failed otherwise; the message is the run's own.
    """
    if pretraining:
        length = f'train_cfg.max_steps={STEPS} default_hooks.probe.interval={PROBE}'
    else:
        length = f'train_cfg.max_iters={STEPS} train_cfg.val_interval={STEPS}'
    with tempfile.TemporaryDirectory(prefix='mmsoco-pace-') as folder:
        log = Path(folder, 'log')
        start = time.monotonic()
        line = (
            f'tools/train.py {config} --work-dir {folder}/run {arguments} --cfg-options {_EACH_STEP} {length} {options}'
        )
        try:
            run_logged(line, log, show_bars=False)
        except UserError as error:
            raise _explained(log.read_text(), error) from None
        wall = time.monotonic() - start
        times = step_times(Path(folder, 'run'))
    return pace_of(times, wall, pretraining)


def step_times(work_dir: Path) -> dict[int, float]:
    """Step -> seconds, of a run that wrote each step's."""
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    entries = map(json.loads, file.read_text().splitlines())
    return {entry['step']: entry['time'] for entry in entries if 'time' in entry and entry['step'] <= STEPS}


def _explained(log: str, error: UserError) -> UserError:
    """The error of a measured run: its own words, as its log is removed."""
    words = [line.partition('error: ')[2] for line in log.splitlines() if line.startswith('error: ')]
    # A process that the system killed over memory says nothing.
    if 'out of memory' in log.lower() or "can't allocate memory" in log or 'status -9' in str(error):
        return OutOfMemory('a step does not fit into the memory; give fewer images a step by --batch')
    last = [line.strip() for line in log.splitlines() if line.strip()][-1:]
    return UserError(words[-1] if words else f'{last[0] if last else error} (in a trial of {STEPS} steps)')
