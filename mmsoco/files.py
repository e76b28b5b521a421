"""Writing files so that a reader never sees half of one."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsoco.errors import UserError

# The mask can only be read by setting it, for all threads.
_umask_lock = threading.Lock()


def check_out(out: str | os.PathLike, *inputs: str | os.PathLike, what: str = 'the file to read') -> None:
    """Refuse to write onto a folder, or onto a file that is read.

    Args:
        out: File to write.
        inputs: Files that it must not be, by whatever path; they need not exist.
        what: What they are, as the message says it.

    Raises:
        UserError: ``out`` is one of these.
    """
    out = Path(out)
    if out.is_dir():
        raise UserError(f'{out} is a folder; name a file in it')
    if out.exists() and any(Path(path).exists() and out.samefile(path) for path in inputs):
        raise UserError(f'{out} is {what}; name another one to write')


def check_folder(folder: str | os.PathLike) -> None:
    """Refuse a folder to write into that is none, or cannot be made or written.

    Raises:
        UserError: With the path that is in the way.
    """
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise UserError(f'{there} is no folder, so {folder} cannot be written; name another one')
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f'{there} may not be written, so {folder} cannot be; name another folder')


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path in ``path``'s folder and rename it to ``path`` when the block succeeds.

    The data is synced to the disk before the renaming. When the block raises,
    the temporary file is removed and what stood at ``path`` before is untouched.

    Raises:
        UserError: No file can be made there.
    """
    path = Path(path)
    check_out(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The ending is kept: writers such as OpenCV's choose the format by it.
        handle, name = tempfile.mkstemp(prefix=f'.{path.stem}.', suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise UserError(f'{path} cannot be written ({error.strerror}: {error.filename}); name another place') from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open('rb') as file:
            os.fsync(file.fileno())
        # mkstemp makes files private; give them the mode that open() would have.
        with _umask_lock:
            umask = os.umask(0o77)
            os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
