"""Chains of commands that can be run by hand: what is done is skipped, what was interrupted goes on."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmsoco.cli import COMMANDS
from mmsoco.errors import Stopped, UserError
from mmsoco.files import atomic_path
from mmsoco.resources import shipped


@dataclass(frozen=True)
class Step:
    """A step of a chain.

    Attributes:
        title: What it is.
        duration: How long it takes, in words; '' where nobody knows.
        commands: Each begins with a script of this project, such as ``tools/train.py``.
        result: What it leaves when it is done.
        source: What it makes the result of, where that can be made of something else, too: a result without this, or
            older than it, is not this step's.
        serves: A later step, which needs the result; where that is done, the result is not missed.
    """

    title: str
    duration: str
    commands: tuple[str, ...]
    result: Path
    source: Path | None = None
    serves: 'Step | None' = None

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left of it to do."""
        if self.serves is not None and self.serves.is_done:
            return True
        needed = [path for path in (self.source, self.result) if path is not None]
        if not all(path.exists() for path in needed):
            return False
        return needed[0].stat().st_mtime_ns <= needed[-1].stat().st_mtime_ns


def in_words(line: str) -> str:
    """A command as a user types it: the script by its path from here, or else the subcommand of ``mmsoco``."""
    script, _, arguments = line.partition(' ')
    path = shipped(script)
    # In a checkout as the docs have it; other projects have a tools/train.py, too.
    if Path(script).exists() and path.samefile(script):
        path = script
    elif name := next((name for name, entry in COMMANDS.items() if entry.place == script), None):
        return f'mmsoco {name} {arguments}'.rstrip()
    elif script == 'tools/dist_train.sh':
        config, processes, *others = shlex.split(arguments)
        return f'mmsoco train {shlex.join([config, *others])} --processes {processes}'
    return f'{"bash" if script.endswith(".sh") else "python"} {shlex.quote(str(path))} {arguments}'.rstrip()


def run_steps(steps: Sequence[Step], folder: Path, say: Callable[[str], None], total: int = 0, first: int = 1) -> None:
    """Do the steps that are not done yet; each writes ``step_N.log``, and its time to ``times.json``.

    Args:
        folder: Where the logs go; it exists.
        say: Prints a line.
        total: How many steps there are in all, where more follow.
        first: Number of the first of these.

    Raises:
        UserError: A step failed; the message names its log.
    """
    total = total or len(steps)
    for number, step in enumerate(steps, first):
        if step.is_done:
            say(f'[{number}/{total}] {step.title}: done already')
            continue
        before = read_times(folder).get(step.title, 0.0)
        words = [step.duration] if step.duration else []
        words += [f'{duration(before)} of it before'] if before else []
        say(f'[{number}/{total}] {step.title}' + (f' ({", ".join(words)})' if words else ''))
        start = time.monotonic()
        try:
            for line in step.commands:
                say(f'    {in_words(line)}')
                run_logged(line, folder / f'step_{number}.log')
        finally:
            with suppress(OSError):  # nothing depends on it, and what ends the step is to be said
                note_time(folder, step.title, before + time.monotonic() - start)


def note_time(folder: Path, title: str, seconds: float) -> None:
    """Write how long a step took, in all calls, to ``times.json``."""
    times = read_times(folder) | {title: seconds}
    with atomic_path(folder / 'times.json') as temporary:
        temporary.write_text(json.dumps(times, indent=2) + '\n')


def read_times(folder: Path) -> dict[str, float]:
    """Title -> seconds of the steps that were begun; none of a damaged file, as nothing depends on them."""
    try:
        times = json.loads((folder / 'times.json').read_text())
        return {str(title): float(seconds) for title, seconds in times.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def run_logged(line: str, log: Path, show_bars: bool = True) -> str:
    """Run a command of this project; its output goes to the log and is returned, progress bars to the screen.

    Args:
        show_bars: Else what it writes to stderr goes to the log, too.

    Raises:
        UserError: It failed.
        Stopped: It was told to stop.
    """
    script, *arguments = shlex.split(line)
    start = ['bash'] if script.endswith('.sh') else [sys.executable, '-W', 'ignore']
    # What starts several processes would look for a Python of its own.
    environment = {**os.environ, 'PYTHON': sys.executable}
    with log.open('a+', encoding='utf-8', errors='replace') as file:
        place = file.tell()
        stderr = None if show_bars else subprocess.STDOUT
        words = [*start, str(shipped(script)), *arguments]
        status = wait_for(subprocess.Popen(words, stdout=file, stderr=stderr, env=environment))
        file.seek(place)
        printed = file.read()
    # What does not save anything when it is told to stop ends by the signal.
    status = {-signal.SIGINT: 130, -signal.SIGTERM: 143}.get(status, status)
    if status in (130, 143):
        raise Stopped('the same command goes on where it was', status)
    if status:
        raise UserError(f'{in_words(line)} failed with status {status}; see above, and {log}')
    return printed


def wait_for(command: subprocess.Popen) -> int:
    """A command's exit status. When this process is told to stop, the command has the time to save what it has done."""
    former = signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    try:
        return command.wait()
    except KeyboardInterrupt:  # of the terminal, which tells the command, too
        command.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, former)


def duration(seconds: float) -> str:
    """A time in words, with as many digits as an estimate has."""
    if seconds < 90:
        return f'{max(5, 5 * round(seconds / 5))} seconds'
    if seconds < 90 * 60:
        return f'{round(seconds / 60)} minutes'
    if seconds < 48 * 3600:
        return f'{seconds / 3600:.1f} hours'
    return f'{seconds / 86400:.1f} days'
