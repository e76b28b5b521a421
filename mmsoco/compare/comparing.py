"""A whole comparison: check, draw the labels, let workers train, and say what came of it."""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.config import Config

from mmsoco.compare import fractions, report
from mmsoco.compare.arms import config_of_arm, config_of_run, digest_of_file, fingerprint
from mmsoco.compare.checking import build_dataset, loaded_share, quiet, steps_of
from mmsoco.compare.estimate import measure, tell
from mmsoco.compare.labels import annotations_of, classes_of, labelled
from mmsoco.compare.leakage import check_leakage
from mmsoco.compare.object_sizes import describe_sizes
from mmsoco.compare.plan import Comparison, Run, shard
from mmsoco.compare.running import FAILED, RESULT, require_same
from mmsoco.errors import Stopped, UserError
from mmsoco.files import atomic_path, check_folder
from mmsoco.images.mini_coco import read_annotations
from mmsoco.resources import FOLDER, IN_CHECKOUT


class Prepared:
    """A comparison that has been looked through before anything is trained.

    Args:
        comparison: The settings.
        say: Prints a line.
        leakage: Arguments of :func:`~mmsoco.compare.leakage.check_leakage` besides, None for no such check.

    Attributes:
        arms: Name -> config.
        facts: What is known of weights and labels, for the report.
        length: Samples of the whole training data.
        drawn: Path -> annotations to write.
        steps: Run -> its steps.

    Raises:
        UserError: Something that concerns all runs is wrong.
    """

    def __init__(self, comparison: Comparison, say: Callable[[str], None], leakage: dict | None = None):
        self.comparison = comparison
        check_folder(comparison.out)
        with quiet():  # what is imported says what it lacks
            arms = {init.name: config_of_arm(comparison, init) for init in comparison.inits}
        self.arms = {name: cfg for name, (cfg, _) in arms.items()}
        notes = list(dict.fromkeys(note for _, told in arms.values() for note in told))
        first = next(iter(self.arms.values()))
        if comparison.own is not None:
            sizes = describe_sizes(first, read_annotations(comparison.own.train))
            notes = [*comparison.own.notes, *filter(None, [sizes]), *notes]
        for note in notes:
            say(note)
        self.facts = {'config': comparison.config, 'notes': notes, 'baseline': comparison.baseline}
        self.facts |= {'inits': {}, 'labels': {}, 'leakage': {}}
        self.drawn: dict[Path, dict] = {}
        self._draw(first)
        self.length = len(build_dataset(first, 'train_dataloader'))
        self._require_images(first)
        for init in comparison.inits:
            share, table = loaded_share(self.arms[init.name], init, comparison.fit)
            words = f'{share:.1%} of the parameters are loaded from {init.file}' if init.file else table
            say(f'{init.name}: {words}')
            self.facts['inits'][init.name] = {
                'file': init.file,
                'sha256': digest_of_file(init.file) if init.file else None,
                'loaded': share,
                'only': dict(comparison.only.get(init.name, {})),
            }
        if leakage is not None:
            self.facts['leakage'] = check_leakage(comparison, first, say, **leakage)
        configs = {run: self.config(run) for run in comparison.runs()}
        self.steps = {run: steps_of(cfg, self.length, comparison.processes) for run, cfg in configs.items()}
        for run, cfg in configs.items():
            require_same(comparison.folder(run), fingerprint(comparison, self.arms[run.init], cfg))

    def _draw(self, cfg: Config) -> None:
        parts = list(labelled(cfg.train_dataloader.dataset))
        if not parts and min(self.comparison.fractions) < 1:
            raise UserError('the training data has no ann_file, so no part of its labels can be drawn; --fractions 1.0')
        for number, dataset in enumerate(parts):
            path, classes = annotations_of(dataset), classes_of(dataset)
            name = f', part {number}' if number else ''
            try:
                whole = read_annotations(path)
            except UserError as error:
                if min(self.comparison.fractions) == 1:
                    continue
                raise UserError(f'{error}; parts are drawn from COCO JSON alone, --fractions 1.0 takes all') from None
            for fraction in self.comparison.fractions:
                if fraction == 1:
                    self.facts['labels'][f'100 %{name}'] = fractions.count(whole, classes)
                    continue
                for seed in range(self.comparison.seeds):
                    part = fractions.draw(whole, fraction, seed, classes)
                    self.drawn[self.comparison.labels(fraction, seed, number)] = part
                    self.facts['labels'][f'{100 * fraction:g} %, seed {seed}{name}'] = fractions.count(part, classes)

    def _require_images(self, cfg: Config) -> None:
        """Refuse parts of which nothing is left to train on, as where a data set leaves out what has no boxes."""
        fraction = min(self.comparison.fractions)
        cfg = copy.deepcopy(cfg)
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(self.comparison.seeds) if fraction < 1 else ():
                for number, dataset in enumerate(labelled(cfg.train_dataloader.dataset)):
                    dataset.ann_file = f'{folder}/{seed}_{number}.json'
                    fractions.write(self.drawn[self.comparison.labels(fraction, seed, number)], dataset.ann_file)
                with suppress(UserError):  # mmengine cannot build an empty one
                    if len(build_dataset(cfg, 'train_dataloader')):
                        continue
                raise UserError(
                    f'{100 * fraction:g} % of the labels, seed {seed}: no image is left to train on; take larger '
                    '--fractions, or a filter_cfg that leaves out less'
                )

    def config(self, run: Run) -> Config:
        """The config of a run."""
        return config_of_run(self.comparison, self.arms[run.init], run, self.length)

    def write_labels(self) -> None:
        """Write the drawn parts."""
        for path, part in self.drawn.items():
            fractions.write(part, path)


def compare(
    prepared: Prepared,
    jobs: int = 1,
    part: tuple[int, int] = (0, 1),
    keep_checkpoints: bool = False,
    say: Callable[[str], None] = print,
) -> bool:
    """Train what is not trained yet, and say what came of it each time a run ends.

    Args:
        prepared: See there.
        jobs: Workers on this machine.
        part: Which of the runs, of how many parts; see :func:`~mmsoco.compare.plan.shard`.
        keep_checkpoints: Whether checkpoints stay when a run is done.
        say: Prints a line.

    Returns:
        Whether all of them have a result.

    Raises:
        Stopped: By SIGTERM or Ctrl-C; the same command goes on.
    """
    comparison = prepared.comparison
    runs = shard(comparison.runs(), *part)
    prepared.write_labels()
    for run in runs:  # to be tried again
        with suppress(FileNotFoundError):
            (comparison.folder(run) / FAILED).unlink()
    # Several may work in one folder.
    order = comparison.out / f'order_{part[0]}of{part[1]}_{socket.gethostname()}_{os.getpid()}.json'
    with atomic_path(order) as temporary:
        words = {'comparison': comparison.save(), 'shard': part, 'length': prepared.length}
        temporary.write_text(json.dumps({**words, 'keep_checkpoints': keep_checkpoints}))
    say(f'{len(runs)} runs in {comparison.out}, {jobs} at a time; their logs are in logs/')
    over = _over(comparison, runs)
    _tell(prepared, runs, over, say, None)
    crew = Crew(order, jobs, comparison.processes, comparison.out)
    try:
        with crew:
            points = _newest(comparison, runs, over)
            began, before = time.monotonic(), _done(prepared, points, over)
            while True:
                busy = crew.is_busy()
                now = _over(comparison, runs)
                newest = _newest(comparison, runs, now)
                if now != over:
                    over = now
                    here = _done(prepared, newest, over) - before
                    left = sum(prepared.steps[run] for run in runs) - before - here
                    seconds = time.monotonic() - began
                    _tell(prepared, runs, over, say, seconds * left / here if here > 0 else None)
                elif newest != points:
                    # The picture is of runs that are over.
                    report.write(comparison, report.collect(comparison, prepared.facts), picture=False)
                for run, point in newest.items():
                    if point != points.get(run):
                        figures = (f', {name} {v:.1f}' for name, v in point.items() if 'AP' in name and v is not None)
                        say(f'{run.name}: {point["step"]} of {prepared.steps[run]} steps{next(figures, "")}')
                points = newest
                if not busy:
                    break
                time.sleep(1)
    finally:
        with suppress(OSError):
            order.unlink()
    crew.require_success()
    missing = [run for run in runs if not (comparison.folder(run) / RESULT).is_file()]
    others = [run for run in missing if not (comparison.folder(run) / FAILED).is_file()]
    if others:
        say(f'{len(others)} runs are missing, which others are doing or have lost; the same command goes on')
    files = ', '.join(f'{comparison.report}.{kind}' for kind in ('json', 'md', 'png'))
    say(f'written: {comparison.out}: {files}')
    return not missing


def rehearse(prepared: Prepared, jobs: int = 1, part: tuple[int, int] = (0, 1), say: Callable = print) -> float:
    """Say what :func:`compare` would do and how long it would take, and write nothing.

    Returns:
        Seconds.
    """
    comparison = prepared.comparison
    runs = [run for run in shard(comparison.runs(), *part) if not (comparison.folder(run) / RESULT).is_file()]
    cfg = prepared.config(Run(comparison.baseline, 1.0, comparison.schedules[0], 0))
    threads = max(1, len(os.sched_getaffinity(0)) // (jobs * comparison.processes))
    pace = measure(cfg, comparison, threads)
    # Jobs that share a card are no faster together, so far as one fills it.
    cards = torch.cuda.device_count() // comparison.processes or 1
    at_once = max(1, min(jobs, len(runs), cards if torch.cuda.is_available() else jobs))
    return tell(comparison, runs, prepared.steps, pace, at_once, prepared.facts['labels'], say)


def _over(comparison: Comparison, runs: list[Run]) -> set[Run]:
    return {
        run
        for run in runs
        if (comparison.folder(run) / RESULT).is_file() or (comparison.folder(run) / FAILED).is_file()
    }


def _newest(comparison: Comparison, runs: list[Run], over: set[Run]) -> dict[Run, dict]:
    """Run that is under way -> its newest evaluation, of those that had one."""
    curves = {run: comparison.folder(run) / 'training' / 'curve.json' for run in runs if run not in over}
    return {run: json.loads(path.read_text())[-1] for run, path in curves.items() if path.is_file()}


def _done(prepared: Prepared, newest: dict[Run, dict], over: set[Run]) -> int:
    """Steps that are done, as far as evaluations tell."""
    return sum(prepared.steps[run] for run in over) + sum(point['step'] for point in newest.values())


def _tell(prepared: Prepared, runs: list[Run], over: set[Run], say: Callable[[str], None], left: float | None) -> None:
    """Write the report, and print its table."""
    comparison = prepared.comparison
    found = report.collect(comparison, prepared.facts)
    report.write(comparison, found)
    if not over:
        return
    more = '' if left is None or len(over) == len(runs) else f', about {hours(left)} left'
    say(f'\n{len(over)} of {len(runs)} runs are over{more}')
    say(report.as_text(report.rows(comparison, found)))
    for name, words in found['failed'].items():
        say(f'failed: {name}: {words}')
    if len(over) == len(runs):
        say('')
        for line in found['summary']:
            say(line)


def hours(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


class Crew:
    """Workers on this machine; a context, at whose end none is left.

    Args:
        order: File of what they do.
        jobs: How many.
        processes: Of each run.
        out: Folder of their logs.
    """

    def __init__(self, order: Path, jobs: int, processes: int, out: Path):
        self._order, self._jobs, self._processes, self._out = order, jobs, processes, out
        self._workers: list[tuple[subprocess.Popen, Path]] = []

    def __enter__(self) -> 'Crew':
        self._former = signal.signal(signal.SIGTERM, self._on_term)
        for number in range(self._jobs):
            log = self._out / 'logs' / f'{self._order.stem}_worker{number}.log'
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open('w') as file:
                # In a session of its own: Ctrl-C reaches it by its parent, once.
                worker = subprocess.Popen(
                    [sys.executable, '-W', 'ignore', '-m', 'mmsoco.compare.running', str(self._order)],
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=environment(number, self._jobs, self._processes),
                    start_new_session=True,
                )
            self._workers.append((worker, log))
        return self

    def __exit__(self, kind, error, trace) -> None:
        for worker, _ in self._workers:
            if worker.poll() is None:
                worker.terminate()
        for worker, _ in self._workers:
            worker.wait()
        signal.signal(signal.SIGTERM, self._former)
        if kind is KeyboardInterrupt:
            raise Stopped('by SIGINT; what was done is saved, and the same command goes on', 130) from None

    def _on_term(self, number: int, frame) -> None:
        raise Stopped('by SIGTERM; what was done is saved, and the same command goes on', 128 + number)

    def is_busy(self) -> bool:
        """Whether a worker works; one that ended wrongly does not stop the others."""
        return any(worker.poll() is None for worker, _ in self._workers)

    def require_success(self) -> None:
        """Raise where a worker itself failed, not a run of it.

        Raises:
            UserError: With its last words.
            Stopped: Somebody stopped it.
        """
        for worker, log in self._workers:
            if worker.returncode in (130, 143, -signal.SIGTERM, -signal.SIGINT):
                raise Stopped('as a worker was; the same command goes on', 143)
            if worker.returncode:
                lines = [line for line in log.read_text(errors='replace').splitlines() if line.strip()]
                raise UserError(
                    f'a worker ended with status {worker.returncode}: {lines[-1] if lines else ""}; see {log}'
                )


def environment(number: int, jobs: int, processes: int) -> dict[str, str]:
    """That of a worker: its share of the cards and of the cores."""
    variables = dict(os.environ)
    cards = variables.get('CUDA_VISIBLE_DEVICES')
    cards = cards.split(',') if cards is not None else [str(i) for i in range(torch.cuda.device_count())]
    if cards and cards != ['']:
        own = [cards[(number * processes + i) % len(cards)] for i in range(processes)]
        variables['CUDA_VISIBLE_DEVICES'] = ','.join(dict.fromkeys(own))
    cores = len(os.sched_getaffinity(0))
    variables.setdefault('OMP_NUM_THREADS', str(max(1, cores // (jobs * processes))))
    variables.setdefault('PYTHON', sys.executable)
    if IN_CHECKOUT:  # which need not be installed
        root = str(FOLDER.parents[1])
        variables['PYTHONPATH'] = os.pathsep.join(filter(None, [root, variables.get('PYTHONPATH')]))
    return variables
