"""One run a folder."""

import errno
import fcntl
import json
import os
import socket
import tempfile
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from mmsoco.errors import UserError, reason
from mmsoco.files import is_alive

NAME = 'run.lock'


class InUse(UserError):
    """Another run has the folder."""


class RunLock:
    """A file that says which process works in a folder, held while it does.

    The file is locked by the system, which lets go when the process ends,
    however it ends; children do not inherit it. A file that nobody has locked is
    what a dead run left, if that ran on this machine. A disk that other machines
    share may not tell of their locks: of a run elsewhere the file's time tells, which
    it renews while it lives. Where the disk knows no locks at all, a process of that
    number on this machine is taken for the run.

    Args:
        folder: Made when it is not there.
        option: By which the user names another one.
    """

    #: Seconds between two signs of life, and without one after which a run elsewhere counts as dead.
    HEARTBEAT, SILENCE = 30.0, 180.0

    def __init__(self, folder: str | os.PathLike, option: str = '--work-dir'):
        self.path = Path(folder, NAME)
        self._option = option
        self._end = threading.Event()

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            InUse: Another run has it.
            UserError: The folder cannot be written to.
        """
        self._made = not self.path.parent.exists()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while not self._take():
                pass
        except OSError as error:
            raise UserError(
                f'{self.path.parent} cannot be a work folder ({reason(error)}); name another one: {self._option}'
            ) from None
        threading.Thread(target=self._live, daemon=True).start()

    def release(self) -> None:
        """Give it back; a folder that was made for it alone goes, too."""
        self._end.set()
        with suppress(OSError):  # gone, or the disk is
            self.path.unlink()
        with suppress(OSError):
            os.close(self._file)
        if self._made:
            with suppress(OSError):  # there is something in it
                self.path.parent.rmdir()

    def _take(self) -> bool:
        """Take the file, or refuse; False when it went away between opening and locking it."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(self._file)
            if not self._is_there():
                os.close(self._file)
                return False
            holder = _read(self._file)
            if locked is False or (holder and self._may_live(holder, locked)):
                who = '{host}, process {pid}, since {start}'.format(**holder) if holder else 'it has just begun'
                raise InUse(
                    f'{self.path.parent} is in use by another run ({who}); wait for it, stop it, or name another one: '
                    f'{self._option}'
                )
            words = {
                'host': socket.gethostname(),
                'pid': os.getpid(),
                'start': datetime.now().isoformat(sep=' ', timespec='seconds'),
            }
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, (json.dumps(words) + '\n').encode(), 0)
        except BaseException:
            with suppress(OSError):
                os.close(self._file)
            raise
        return True

    def _is_there(self) -> bool:
        # By stat: to open and close the file once more would give the lock away.
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._file), self.path.stat())
        return False

    def _may_live(self, holder: dict, locked: bool | None) -> bool:
        if holder['host'] == socket.gethostname():
            return locked is None and is_alive(holder['pid'])
        return self._silence() < self.SILENCE

    def _silence(self) -> float:
        """Seconds since the last sign of life, by the disk's own clock."""
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix='.clock.') as clock:
            return Path(clock.name).stat().st_mtime - os.fstat(self._file).st_mtime

    def _live(self) -> None:
        while not self._end.wait(self.HEARTBEAT):
            with suppress(OSError):  # closed meanwhile, or the disk is away for a moment
                self._renew()

    def _renew(self) -> None:
        try:
            os.utime(self._file)
        except OSError:  # a disk that sets times by itself alone, when something is written
            os.pwrite(self._file, os.pread(self._file, 100_000, 0), 0)


def _lock(file: int) -> bool | None:
    """Lock a file for this process; False where another process has, None where the disk knows no locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None
    return True


def _read(file: int) -> dict:
    """What the file says; nothing, where a run died before it wrote."""
    try:
        words = json.loads(os.pread(file, 100_000, 0))
    except ValueError:
        return {}
    return words if isinstance(words, dict) and words.keys() >= {'host', 'pid', 'start'} else {}
