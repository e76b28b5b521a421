"""Trainings by the command-line tools, to be watched and disturbed."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Run:
    """A command that trains."""

    process: subprocess.Popen
    work_dir: Path
    errors: Path


def counted_in_steps(steps, kept=2):
    """Options of a run of so many steps that saves after every fifth."""
    return {
        'train_cfg.max_epochs': None,
        'train_cfg.max_steps': steps,
        'default_hooks.checkpoint': dict(by_epoch=False, interval=5, max_keep_ckpts=kept),
    }


def as_arguments(options):
    """``--cfg-options`` as they are typed."""
    arguments = []
    for key, value in options.items():
        if isinstance(value, dict):
            arguments += as_arguments({f'{key}.{name}': part for name, part in value.items()})
        else:
            arguments.append(f'{key}={str(value).replace(" ", "")}')
    return arguments


def start_training(config, folder, options, processes=1, *arguments, **environment):
    """Begin a training into ``folder/run``, by tools/dist_train.sh where it has several processes or nodes."""
    work_dir, errors = folder / 'run', folder / f'errors{environment.get("NODE_RANK", "")}'
    if processes == 1 and 'NNODES' not in environment:
        command = [sys.executable, ROOT / 'tools/train.py', config]
    else:
        command = [ROOT / 'tools/dist_train.sh', config, processes]
    command += ['--work-dir', work_dir, *arguments, '--cfg-options', *as_arguments(options)]
    environment = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
        'PYTHON': sys.executable,
        'PYTHONPATH': f'{ROOT / "tests/support"}:{ROOT}',
        'PYTHONWARNINGS': 'ignore',
        **environment,
    }
    with errors.open('w') as file:
        # In a session of its own, as a terminal would have it.
        process = subprocess.Popen(
            list(map(str, command)), env=environment, stdout=subprocess.DEVNULL, stderr=file, start_new_session=True
        )
    return Run(process, work_dir, errors)


def until(condition, run, seconds=150):
    """Wait for something; fail where the run ends before, or it takes too long."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert run.process.poll() is None, f'ended with {run.process.returncode}: {run.errors.read_text()[-3000:]}'
        assert time.monotonic() < end, run.errors.read_text()[-3000:]
        time.sleep(0.05)
    return value


def children_of(process):
    """The numbers of a process' children."""
    found = []
    for task in Path(f'/proc/{process}/task').glob('*/children'):
        found += map(int, task.read_text().split())
    return found


def descendants_of(process):
    """The numbers of a process' children, theirs, and so on."""
    found = []
    for child in children_of(process):
        found += [child, *descendants_of(child)]
    return found


def is_running(process):
    """Whether there is such a process; one that nobody has waited for is dead."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False
