"""Workers: each takes one run after another, those that are neither done nor taken."""

import argparse
import gc
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin

from mmsoco import __version__
from mmsoco.compare.arms import config_of_arm, config_of_run, fingerprint
from mmsoco.compare.plan import Comparison, Run, shard
from mmsoco.engine.interruption import Interrupted, follow_parent
from mmsoco.engine.launch import train
from mmsoco.errors import Stopped, UserError, command, one_line, reason, words_of
from mmsoco.files import atomic_path
from mmsoco.resources import shipped
from mmsoco.run_lock import InUse, RunLock

RESULT, FAILED = 'result.json', 'failed.json'
#: What a run is of, written before it begins.
_BEGUN = 'begun.json'


def forget_former_run() -> None:
    """Put away what mmengine keeps of a run in a process, so that the next one begins as in a new process.

    Its loggers, visualizers and the like are kept by class and name, and mmdet gives each run's visualizer one name.
    """
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            handler.close()
            logger.removeHandler(handler)
    for kind in _with_subclasses(ManagerMixin):
        kind._instance_dict.clear()
    # A Runner is in circles with its hooks; with it go the workers of its loaders.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _with_subclasses(kind: type) -> Iterator[type]:
    yield kind
    for one in kind.__subclasses__():
        yield from _with_subclasses(one)


def work(comparison: Comparison, runs: list[Run], length: int, keep_checkpoints: bool = False) -> None:
    """Do those of the runs that nobody has done or is doing.

    Args:
        comparison: The settings.
        runs: In their order.
        length: See :func:`~mmsoco.compare.arms.config_of_run`.
        keep_checkpoints: Whether a run's checkpoints stay when its result is there.

    Raises:
        Interrupted: This process was told to stop; what was done is saved.
    """
    arms = {init.name: config_of_arm(comparison, init)[0] for init in comparison.inits}
    for run in runs:
        folder = comparison.folder(run)
        if is_over(folder):
            if not keep_checkpoints:
                forget_checkpoints(folder)  # whoever wrote the result may have been killed over it
            continue
        lock = RunLock(folder, '--out')
        try:
            lock.acquire()
        except InUse:
            continue
        try:
            if not is_over(folder):
                cfg = config_of_run(comparison, arms[run.init], run, length)
                do(comparison, run, cfg, fingerprint(comparison, arms[run.init], cfg), keep_checkpoints)
        finally:
            lock.release()


def is_over(folder: Path) -> bool:
    """Whether a run has a result, or has failed."""
    return (folder / RESULT).is_file() or (folder / FAILED).is_file()


def require_same(folder: Path, mark: str) -> None:
    """Refuse a run's folder that has something of other settings, finished or not.

    Args:
        folder: Of the run.
        mark: See :func:`~mmsoco.compare.arms.fingerprint`.

    Raises:
        UserError: It was begun with another mark, or with none that is known.
    """
    path = folder / _BEGUN
    former = json.loads(path.read_text())['config'] if path.is_file() else None
    begun = former or any((folder / name).exists() for name in (RESULT, 'training'))
    if begun and former != mark:
        raise UserError(
            f'{folder} was begun with another config, other options, labels or weights; name another --out, or '
            f'delete {folder}'
        )


def do(comparison: Comparison, run: Run, cfg: Config, mark: str, keep_checkpoints: bool = False) -> None:
    """Train a run to its end, going on where it was, and write its result, or why it failed.

    Args:
        comparison: The settings.
        run: Which one.
        cfg: Of it.
        mark: See :func:`~mmsoco.compare.arms.fingerprint`.
        keep_checkpoints: See :func:`work`.

    Raises:
        Interrupted: This process was told to stop.
    """
    folder = comparison.folder(run)
    training = folder / 'training'
    config = folder / 'config.py'
    folder.mkdir(parents=True, exist_ok=True)
    begun = {'config': mark, 'mmsoco': __version__}
    forget_former_run()
    try:
        require_same(folder, mark)
        _write(folder / _BEGUN, begun)
        with atomic_path(config) as temporary:
            cfg.dump(temporary)
        if comparison.processes == 1:
            train(
                config,
                str(training),
                resume='auto',
                amp=comparison.amp,
                auto_scale_lr=comparison.auto_scale_lr,
            )
        else:
            _train_in_processes(comparison, config, training)
        curve = json.loads((training / 'curve.json').read_text())
        if not any(key.startswith(('box', 'mask')) for key in curve[-1]):
            raise UserError('its evaluation gave no average precision; take CocoMetric, LVISMetric or VOCMetric')
    except Interrupted:
        raise
    except Exception as error:
        words = words_of(error) if isinstance(error, UserError) else reason(error)
        _write(folder / FAILED, {'error': one_line(words)})
        print(f'{run.name} failed: {one_line(words)}', file=sys.stderr)
        return
    last = curve[-1]
    figures = {key: value for key, value in last.items() if key not in ('step', 'seconds')}
    result = run._asdict() | {'figures': figures, 'steps': last['step'], 'seconds': last['seconds'], 'curve': curve}
    _write(folder / RESULT, result | begun)
    if not keep_checkpoints:
        forget_checkpoints(folder)


def forget_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a run that has a result; of one that failed they stay, to be looked at."""
    if (folder / RESULT).is_file():
        for path in (*folder.glob('training/*.pth'), folder / 'training/last_checkpoint'):
            with suppress(FileNotFoundError):
                path.unlink()


def _train_in_processes(comparison: Comparison, config: Path, training: Path) -> None:
    """Train by torchrun, in whose processes ``tools/train.py`` does what :func:`do` does in this one."""
    words = [shipped('tools/dist_train.sh'), config, comparison.processes, '--work-dir', training, '--resume']
    if comparison.amp is not None:
        words += ['--amp', comparison.amp] if isinstance(comparison.amp, str) else ['--amp']
    words += ['--auto-scale-lr'] * comparison.auto_scale_lr
    log = training.with_suffix('.log')
    with log.open('a') as file:
        begin = file.tell()  # what stands before is of an earlier try
        launcher = subprocess.Popen(list(map(str, words)), stdout=file, stderr=subprocess.STDOUT)
    # It has the time to save what it has done.
    former = signal.signal(signal.SIGTERM, lambda *_: launcher.terminate())
    try:
        status = launcher.wait()
    finally:
        signal.signal(signal.SIGTERM, former)
    if status in (130, 143):
        raise Interrupted('by a signal; the same command goes on', status - 128)
    if status:
        lines = log.read_bytes()[begin:].decode(errors='replace').splitlines()
        told = [line for line in lines if line.startswith(('error: ', 'stopped: '))]
        raise UserError(told[-1].partition(': ')[2] if told else f'it ended with status {status}; see {log}')


def _write(path: Path, content: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


@command
def main() -> None:
    """One worker; the parent starts it."""
    parser = argparse.ArgumentParser()
    parser.add_argument('order', help='JSON file of what to do')
    follow_parent()
    order = json.loads(Path(parser.parse_args().order).read_text())
    comparison = Comparison.load(order['comparison'])
    runs = shard(comparison.runs(), *order['shard'])
    try:
        work(comparison, runs, order['length'], order['keep_checkpoints'])
    except Interrupted as stop:
        raise Stopped(words_of(stop), stop.status) from None


if __name__ == '__main__':
    main()
