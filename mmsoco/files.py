"""Reading what is a file, and writing files so that a reader never sees half of one."""

import errno
import glob
import hashlib
import os
import re
import socket
import stat
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmsoco.errors import UserError, reason

_umask_lock = threading.Lock()
#: A mark for everything that is being finished.
_unfinished: list[object] = []
#: Of temporary files: what is written, the process that writes it and its machine, eight letters by tempfile.
_TEMPORARY = re.compile(r'\..*\.(\d+)-([0-9a-f]{8})\.[a-z0-9_]{8}(\.\w+)?')


#: What is no regular file.
KINDS = {stat.S_IFDIR: 'folder', stat.S_IFIFO: 'pipe', stat.S_IFCHR: 'device', stat.S_IFBLK: 'device'}


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open a file to read its bytes; one that could be waited for without end, as a pipe, is an error.

    Raises:
        OSError: There is no such file, or it is no regular one.
    """
    # Opening a pipe would wait for its writer; a terminal is not to become this process' own.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    kind = stat.S_IFMT(os.fstat(handle).st_mode)
    if kind != stat.S_IFREG:
        os.close(handle)
        words = f'is a {KINDS.get(kind, "special file")}, no regular file'
        raise OSError(errno.EINVAL, words, os.fspath(path))
    return os.fdopen(handle, 'rb', buffering=0)


def read_regular(path: str | os.PathLike) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: As :func:`open_regular`, or reading fails.
    """
    with open_regular(path) as file:
        return file.read()


def sha256_of(path: str | os.PathLike) -> str:
    """A file's SHA-256, in hexadecimal.

    Raises:
        OSError: As :func:`open_regular`, or reading fails.
    """
    with open_regular(path) as file:
        return digest_of(file).hexdigest()


def digest_of(file: BinaryIO) -> 'hashlib._Hash':
    """The SHA-256 of what a file holds from where it is, never all of it in memory."""
    digest = hashlib.sha256()
    while part := file.read(1 << 22):
        digest.update(part)
    return digest


def check_out(out: str | os.PathLike, *inputs: str | os.PathLike, what: str = 'the file to read') -> None:
    """Refuse to write onto a folder, or onto a file that is read.

    Args:
        out: File to write.
        inputs: Files that it must not be, by whatever path; they need not exist.
        what: What they are, as the message says it.

    Raises:
        UserError: ``out`` is one of these, or cannot be looked at.
    """
    out = Path(out)
    try:
        if out.is_dir():
            raise UserError(f'{out} is a folder; name a file in it')
        if out.exists() and any(Path(path).exists() and out.samefile(path) for path in inputs):
            raise UserError(f'{out} is {what}; name another one to write')
    except (OSError, ValueError) as error:  # a folder that may not be entered, no name of a file
        raise UserError(f'{out} cannot be written ({reason(error, bare=True)}); name another place') from None


def check_folder(folder: str | os.PathLike) -> None:
    """Refuse a folder to write into that is none, or cannot be made or written.

    Raises:
        UserError: With the path that is in the way.
    """
    there = Path(folder).absolute()
    try:
        while not there.exists():
            if there.is_symlink():
                raise UserError(f'{there} is a link that leads nowhere, so {folder} cannot be written; mend it')
            there = there.parent
    except (OSError, ValueError) as error:  # a folder that may not be entered, a name that is too long
        raise UserError(f'{folder} cannot be written ({reason(error, bare=True)}); name another folder') from None
    if not there.is_dir():
        raise UserError(f'{there} is no folder, so {folder} cannot be written; name another one')
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f'{there} may not be written, so {folder} cannot be; name another folder')


@contextmanager
def finishing() -> Iterator[None]:
    """What is begun in this block is to be finished before anything of this program ends the process."""
    mark = object()
    _unfinished.append(mark)
    try:
        yield
    finally:
        _unfinished.remove(mark)


def is_finishing() -> bool:
    """Whether some thread is in a block of :func:`finishing`, as while it writes a file."""
    return bool(_unfinished)


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path in ``path``'s folder and rename it to ``path`` when the block succeeds.

    The data is synced to the disk before the renaming. When the block raises,
    the temporary file is removed and what stood at ``path`` before is untouched.
    What a writer of the same file left that was killed is removed, too.

    Raises:
        UserError: No file can be made there.
    """
    path = Path(path)
    check_out(path)
    stem = path.stem[:60]  # there is a bound to names
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, stem)
        # The ending is kept: writers such as OpenCV's choose the format by it.
        handle, name = tempfile.mkstemp(
            prefix=f'.{stem}.{os.getpid()}-{_machine()}.', suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise UserError(f'{path} cannot be written ({reason(error)}); name another place') from None
    os.close(handle)
    temporary = Path(name)
    try:
        with finishing():
            yield temporary
            _sync(temporary)
            _open_to_others(temporary)
            temporary.replace(path)
    finally:
        with suppress(OSError):  # what ended the block says more
            temporary.unlink(missing_ok=True)


#: What a disk says that does not know what it is asked to do, such as a FUSE mount or another system's share.
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EBADF)


def _sync(path: Path) -> None:
    """Have the bytes on the disk, as far as it knows how to; where they could not be written, that is an error."""
    with path.open('rb') as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise


def _open_to_others(path: Path) -> None:
    """Give a file the mode that open() would have, as mkstemp makes it private; not all disks have modes."""
    with _umask_lock:  # the mask can only be read by setting it, for all threads
        umask = os.umask(0o77)
        os.umask(umask)
    with suppress(OSError):
        path.chmod(0o666 & ~umask)


def _machine() -> str:
    return f'{zlib.crc32(socket.gethostname().encode()):08x}'


def remove_leftovers(folder: str | os.PathLike, stem: str = '', age: float = 86400) -> None:
    """Remove temporary files of :func:`atomic_path` whose writers are dead.

    Args:
        folder: Where they are.
        stem: What the names of the written files begin with.
        age: Seconds after which those of other machines count as left over.
    """
    for path in Path(folder).glob(f'.{glob.escape(stem)}*'):
        match = _TEMPORARY.fullmatch(path.name)
        with suppress(OSError):  # gone meanwhile, or not to be removed
            if match and (not is_alive(int(match[1])) if match[2] == _machine() else _age(path) > age):
                path.unlink()


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def is_alive(process: int) -> bool:
    """Whether this machine has a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
