"""Which checkpoint of a work folder a run goes on from."""

import os
import re
import shutil
from datetime import datetime
from itertools import count
from pathlib import Path

from mmengine.config import Config

from mmsoco.checkpoints.files import read_meta
from mmsoco.errors import UserError
from mmsoco.files import read_regular

#: The file that names the checkpoint that was written last; mmengine's.
POINTER = 'last_checkpoint'
#: How CheckpointHook names them; between two epochs by steps.
TEMPLATES = ('epoch_{}.pth', 'iter_{}.pth')


def checkpoint_folder(work_dir: str, out_dir: str | os.PathLike | None) -> Path:
    """Where mmengine's CheckpointHook saves: in the work folder or, with ``out_dir``, in one of its name there.

    Raises:
        UserError: ``out_dir`` is an address; what resumes, and keeps as many as shall be
            kept, looks into a folder.
    """
    if '://' in str(out_dir):
        raise UserError(
            f'default_hooks.checkpoint.out_dir {out_dir} is an address, and checkpoints are written to folders; mount '
            'it, and give the folder'
        )
    folder = Path(os.path.normpath(work_dir))
    whole = Path(os.path.normpath(folder.absolute()))
    # mmengine compares as written: what the work folder is called otherwise counts as another folder.
    return folder if out_dir is None or str(out_dir) == str(whole) else Path(out_dir, whole.name)


class SavedCheckpoints:
    """The checkpoints that runs wrote into a folder.

    Args:
        folder: Of the checkpoints; it need not be there.
        template: What they are called, where it is none of :data:`TEMPLATES`.
        work_dir: Folder of the file that names one of them, if it is another one.
    """

    def __init__(self, folder: Path, template: str | None = None, work_dir: Path | None = None):
        self.folder = folder
        names = (re.split(r'\{[^}]*\}', one) for one in (*TEMPLATES, template) if one)
        self._names = re.compile('|'.join(r'\d+'.join(map(re.escape, parts)) for parts in names))
        self._pointer = (work_dir or folder) / POINTER

    @classmethod
    def of(cls, cfg: Config) -> 'SavedCheckpoints':
        """Those of a config's CheckpointHook.

        Raises:
            UserError: They would be written to what is no folder.
        """
        hook = cfg.get('default_hooks', {}).get('checkpoint') or {}
        return cls(checkpoint_folder(cfg.work_dir, hook.get('out_dir')), hook.get('filename_tmpl'), Path(cfg.work_dir))

    def __iter__(self):
        return (path for path in self.folder.glob('*.pth') if self._names.fullmatch(path.name))

    def newest_whole(self, since: float = 0) -> tuple[Path | None, list[str]]:
        """The newest one that is whole.

        A run can be killed between writing a checkpoint and naming it in
        ``last_checkpoint``, and files are lost and damaged; so all that are there are
        looked at.

        Args:
            since: Take only those that were written since then, in seconds since 1970.

        Returns:
            The checkpoint, None where there is none and no sign that there was one; and
            what was passed over, with the reasons.

        Raises:
            UserError: There are some, or were, and none is whole.
        """
        named, passed = self._named() if not since else ([], [])
        whole = []
        for path in {path for path in (*self, *named) if path.stat().st_mtime >= since}:
            try:
                whole.append((read_meta(path).get('iter', 0), path.stat().st_mtime, path))
            except UserError as error:
                passed.append(str(error))
        if passed and not whole:
            raise UserError(
                f'no checkpoint in {self.folder} is whole ({"; ".join(passed)}); name one that is by --resume FILE, or '
                'begin in another --work-dir'
            )
        return max(whole)[-1] if whole else None, passed

    def _named(self) -> tuple[list[Path], list[str]]:
        """What the file names that names the newest one, and what is wrong with it; nothing, where it is missing."""
        try:
            # By name: the folder may have been moved.
            words = read_regular(self._pointer).decode().strip()
            name = Path(words).name
        except FileNotFoundError:
            return [], []
        except (OSError, UnicodeDecodeError):
            return [], [f'{self._pointer} cannot be read']
        if not name:
            return [], [f'{self._pointer} is empty']
        # Where it was written, if the run saves elsewhere now.
        for path in (self.folder / name, Path(words)):
            if path.is_file():
                return [path], []
        return [], [f'{self._pointer} names {name}, which is not there']

    def set_aside(self, resumed: str | None, start: str | None, trust: bool = False) -> list[str]:
        """Move those out of the way that are not of the past of the run that begins.

        They are of an earlier run, or of steps after the one that the run goes on
        from; or they are damaged. Left there they would be overwritten, deleted as the
        oldest ones, or be taken for this run's newest.

        Args:
            resumed: What the run goes on from; None where it begins.
            start: What its weights are loaded from; None for random ones.
            trust: Whether what it goes on from may run code.

        Returns:
            What was moved where, to be logged.

        Raises:
            UserError: The weights to begin from are among them.
        """
        # What was converted from elsewhere counts epochs alone, and is older than all.
        own = resumed is not None and Path(resumed).resolve().parent == self.folder.resolve()
        steps = read_meta(resumed, trust).get('iter', -1) if own else -1
        strangers = [path for path in self if _steps(path) > steps]
        if start and any(path.samefile(start) for path in strangers if Path(start).exists()):
            raise UserError(f'{start} is in the folder of the run that shall begin from it; name another --work-dir')
        named = [path for path in self._named()[0] if path not in strangers]
        lost = self._pointer.is_file() and not any(path.parent == self.folder or str(path) == resumed for path in named)
        if not strangers and not lost:
            return []
        now = f'before_{datetime.now():%Y%m%d_%H%M%S}'
        place = next(place for place in (self.folder / f'{now}{"_" * n}' for n in count()) if not place.exists())
        place.mkdir(parents=True)
        for path in strangers:
            path.replace(place / path.name)
        if lost:
            shutil.move(self._pointer, place / POINTER)  # perhaps to another disk
        names = ', '.join(sorted(path.name for path in strangers)) or POINTER
        return [f'not of this run, and moved from {self.folder} to {place.name}: {names}']


def _steps(path: Path) -> float:
    """Steps that a checkpoint's run had done; of a damaged one, more than any."""
    try:
        return read_meta(path).get('iter', 0)
    except UserError:
        return float('inf')
