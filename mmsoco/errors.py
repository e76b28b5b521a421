"""Errors that a user can mend, and how the command-line tools show them."""

import errno
import functools
import io
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Protocol

#: With this environment variable a tool shows where an error comes from.
TRACEBACK = 'MMSOCO_TRACEBACK'
#: Full disk, exceeded quota, file system that became read-only.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
#: Seconds that processes other than the first wait with their error, which is most often the same, before they know
#: of each other.
PATIENCE = 3
#: Where launchers (torchrun, Open MPI, Slurm) say which process this is: mpirun's may be in one task of Slurm.
RANKS = ('RANK', 'OMPI_COMM_WORLD_RANK', 'SLURM_PROCID')
#: torch's words for it; the last ones where a worker of a data loader was killed over it.
_NO_SHARED_MEMORY = re.compile(
    r'unable to \w+ .*(shared memory|</torch_)|insufficient shared memory|out of shared memory|signal: Bus error', re.I
)
#: What of Python makes semaphores and shared memory.
_OF_PROCESSES = re.compile(r'multiprocessing.(synchronize|heap|shared_memory)\.py$')

#: What is there, and works, after ``mmsoco doctor --fix``; the last one are mmcv's compiled operators.
INSTALLED = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmdet',
    'mmpretrain',
    'cv2',
    'faster_coco_eval',
    'jinja2',
    'markupsafe',
    'matplotlib',
    'safetensors',
    'scipy',
    'tensorboard',
    'mmcv._ext',
)

_phase = SimpleNamespace(preparing=False, suspects=[], company=None)


class UserError(Exception):
    """Something that the user gave is wrong.

    The message is one line and says what is wrong and what to do.

    Attributes:
        status: Exit status of a tool that it ends.
    """

    status = 2


class Company(Protocol):
    """The processes of a run, see :class:`mmsoco.engine.leaving.Company`."""

    def leave(self, kind: str, line: str | None, status: int) -> int | None:
        """Say a line once and wait until all can end; the status to end with."""


class Stopped(BaseException):
    """A process that was told to stop, wherever it was; no error, for nothing to catch it on the way.

    Args:
        message: One line.
        status: Exit status of a tool.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def preparation_over() -> None:
    """Say that the work has begun: from now on :func:`command` lets exceptions that it does not know pass."""
    _phase.preparing = False


def suspect(words: str) -> None:
    """Say what may be wrong, in case that something fails before :func:`preparation_over` without naming it."""
    _phase.suspects.append(words)


def leave_with(company: Company | None) -> None:
    """Let :func:`command` end this process together with those that do the same work; None for alone."""
    _phase.company = company


def rank() -> int:
    """Which of the processes that a launcher started this one is; 0 without a launcher."""
    return next((int(os.environ[name]) for name in RANKS if os.environ.get(name, '').isdigit()), 0)


def words_of(error: UserError) -> str:
    """The message; of an error in a worker of a data loader, which torch wraps into its traceback, the last line."""
    words = _words(error)
    if 'Original Traceback' in words:
        words = words.strip().splitlines()[-1].partition(': ')[2]
    return words


def one_line(text: str) -> str:
    """A text with its invisible characters by their numbers: of line breaks, odd spaces, bytes that are no UTF-8."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)


def reason(error: BaseException, length: int = 200, bare: bool = False) -> str:
    """Why something failed, in one line: of the message as many sentences of the first line as are short.

    The one way to say it, whatever an exception holds: an ``OSError`` without words, a
    message that is empty, of several lines or bytes.

    Args:
        error: Of any kind.
        length: Of the sentences together, in characters.
        bare: Without the exception's kind, and an ``OSError``'s file, where the sentence around names it.
    """
    name, words = type(error).__name__, _words(error).strip()
    if isinstance(error, OSError) and (error.errno is not None or error.filename is not None):
        what = _of_system(error)
        return one_line(what if bare or error.filename is None else f'{_text(error.filename)}: {what}')
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str) and ' ' in error.args[0]:
        words = error.args[0]  # str() gives its repr
    if 'Original Traceback' in words:
        return one_line(words.splitlines()[-1])
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    if not lines:
        return name
    # torch lists what does not fit below a heading.
    line = ' '.join(lines[:2]) if lines[0].endswith(':') else lines[0]
    first, *rest = re.split(r'(?<=[.;]) ', line)
    for sentence in rest:
        if len(first) + len(sentence) > length:
            break
        first += ' ' + sentence
    first = one_line(first[: 2 * length])
    return first if bare else f'{name}: {first}'


def _words(error: BaseException) -> str:
    """What an exception says, which may be bytes, or fail itself."""
    if len(error.args) == 1 and isinstance(error.args[0], bytes):
        return _text(error.args[0])
    try:
        return str(error)
    except Exception:
        return ''


def _text(value: object) -> str:
    return value.decode(errors='backslashreplace') if isinstance(value, bytes) else str(value)


def _of_system(error: OSError) -> str:
    """The system's words; libraries raise its errors with a number alone, or with neither."""
    if error.strerror:
        return _text(error.strerror)
    return os.strerror(error.errno) if isinstance(error.errno, int) else type(error).__name__


def is_full(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, says that nothing can be written to a disk any more."""
    while error is not None:
        # torch's writer of archives has an error of its own.
        if getattr(error, 'errno', None) in NO_SPACE or 'PytorchStreamWriter failed writing' in _words(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_of_shared_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, says that memory cannot be shared with other processes."""
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        # Semaphores are there, too, and their errors look like those of a disk.
        if isinstance(error, OSError) and any(_OF_PROCESSES.search(frame.filename) for frame in frames):
            return True
        if _NO_SHARED_MEMORY.search(_words(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _of_installation(error: BaseException | None) -> ImportError | None:
    """The import that failed of what has to be installed, if an exception is one, or came from one."""
    while error is not None:
        if isinstance(error, ImportError) and error.name in INSTALLED:
            return error
        error = error.__cause__ or error.__context__
    return None


def _place(error: BaseException) -> str:
    """File and line that an exception was raised in."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return 'an unknown place'
    return f'{frames[-1].filename.rpartition("site-packages/")[2]}, line {frames[-1].lineno}'


def _line(error: Exception) -> str | None:
    """What to say of an exception instead of its traceback; None where it has to be shown."""
    if missing := _of_installation(error):
        words = reason(missing, bare=True)
        return f'{words}; mmsoco doctor says what else is wrong, and mmsoco doctor --fix mends it'
    if isinstance(error, UserError):
        return one_line(words_of(error))
    if is_of_shared_memory(error):
        return (
            f'/dev/shm, which processes share memory by, is too small or may not be written ({reason(error, bare=True)}'
            '); start the container with --ipc=host or --shm-size=16g, or read the data in one process: '
            '--cfg-options train_dataloader.num_workers=0, likewise val_dataloader and test_dataloader'
        )
    if is_full(error):
        where = getattr(error, 'filename', None)
        return f'the disk{f" of {where}" if where else ""} is full or read-only ({reason(error)}); free some, and go on'
    if _phase.preparing and not _is_of_others(error):
        what = '; '.join(_phase.suspects) or 'correct the config, option or file'
        return f'{reason(error)} (in {_place(error)}); {what} ({TRACEBACK}=1 shows more)'
    return None


def _is_of_others(error: Exception) -> bool:
    """Whether another process is gone, or a device: a case to start again, not to correct something."""
    words = f'{type(error).__name__}: {_words(error)}'
    return isinstance(error, ConnectionError) or bool(re.search(r'\bDist\w*Error|gloo|NCCL|CUDA error|by peer', words))


def command(main: Callable[[], int | None]) -> Callable[[], None]:
    """Make a tool's ``main``: what the user can mend becomes one line on stderr and exit status 2.

    That is a :class:`UserError`, a full disk, too little shared memory and, until
    :func:`preparation_over`, any exception: what is wrong in a config shows wherever it is
    first used.
    """

    @functools.wraps(main)
    def run() -> None:
        _phase.preparing, _phase.suspects, _phase.company = True, [], None
        # Logging goes on where its file cannot be written, and should not show that for every line.
        logging.raiseExceptions = False
        # In a log, too, what is said stands there when it is said, beside what other processes write.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)
        try:
            sys.exit(main())
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            sys.exit(130)
        except Stopped as stop:
            if rank() == 0:
                print(f'stopped: {stop}', file=sys.stderr)
            sys.exit(stop.status)
        except Exception as error:
            status = _leave(_line(error), getattr(error, 'status', 2))
            if status is None:
                raise
            if os.environ.get(TRACEBACK):
                traceback.print_exception(error)
            sys.exit(status)

    return run


def _leave(line: str | None, status: int) -> int | None:
    """Say what ends this process, in one of all processes; None where it has to be shown as it is."""
    kind = 'error' if status == 2 else 'stopped'
    if _phase.company is not None:
        return _phase.company.leave(kind, line, status)
    if line is None:
        return None
    if rank():
        # The launcher ends this process meanwhile if the first one has the same to say.
        time.sleep(PATIENCE)
        line = f'process {rank()}: {line}'
    print(f'{kind}: {line}', file=sys.stderr)
    return status
