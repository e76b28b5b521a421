"""Which checkpoint of a work folder a run goes on from."""

import re
from datetime import datetime
from itertools import count
from pathlib import Path

from mmengine.config import Config

from mmsoco.checkpoints.files import read_meta
from mmsoco.errors import UserError

#: The file that names the checkpoint that was written last; mmengine's.
POINTER = 'last_checkpoint'
_CHECKPOINT = re.compile(r'(epoch|iter)_\d+\.pth')


def saved_in(folder: Path) -> list[Path]:
    """The checkpoints that a run wrote into a folder, ``epoch_N.pth`` and ``iter_N.pth``."""
    return [path for path in folder.glob('*.pth') if _CHECKPOINT.fullmatch(path.name)]


def checkpoint_folder(cfg: Config) -> Path:
    """Where a config's CheckpointHook writes: the work folder, or one of its name in ``out_dir``."""
    hook = cfg.get('default_hooks', {}).get('checkpoint') or {}
    work_dir = Path(cfg.work_dir)
    return Path(hook['out_dir'], work_dir.name) if hook.get('out_dir') else work_dir


def newest_whole(folder: Path, work_dir: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint in a folder that is whole.

    A run can be killed between writing a checkpoint and naming it in
    ``last_checkpoint``, and files are lost and damaged; so all that are there are
    looked at.

    Args:
        folder: Of the checkpoints; it need not be there.
        work_dir: Folder of the file that names one of them.

    Returns:
        The checkpoint, None where there is none and no sign that there was one; and
        what was passed over, with the reasons.

    Raises:
        UserError: There are some, or were, and none is whole.
    """
    passed, whole = _missing(folder, work_dir), []
    for path in saved_in(folder):
        try:
            whole.append((read_meta(path).get('iter', 0), path.stat().st_mtime, path))
        except UserError as error:
            passed.append(str(error))
    if passed and not whole:
        raise UserError(
            f'no checkpoint in {folder} is whole ({"; ".join(passed)}); name one that is by --resume FILE, or begin in '
            'another --work-dir'
        )
    return max(whole)[-1] if whole else None, passed


def _missing(folder: Path, work_dir: Path) -> list[str]:
    """What is wrong with the file that names the newest checkpoint; nothing, where there is none."""
    pointer = work_dir / POINTER
    try:
        # By name: the folder may have been moved.
        name = Path(pointer.read_text('utf-8').strip()).name
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError):
        return [f'{pointer} cannot be read']
    if not name:
        return [f'{pointer} is empty']
    return [] if (folder / name).is_file() else [f'{pointer} names {name}, which is not there']


def set_aside(folder: Path, resumed: str | None, start: str | None, trust: bool = False) -> list[str]:
    """Move checkpoints out of the way that are not of the past of the run that begins.

    They are of an earlier run, or of steps after the one that the run goes on
    from; or they are damaged. Left there they would be overwritten, deleted as the
    oldest ones, or be taken for this run's newest.

    Args:
        folder: Of the checkpoints.
        resumed: What the run goes on from; None where it begins.
        start: What its weights are loaded from; None for random ones.
        trust: Whether what it goes on from may run code.

    Returns:
        What was moved where, to be logged.

    Raises:
        UserError: The weights to begin from are among them.
    """
    # What was converted from elsewhere counts epochs alone, and is older than all.
    steps = -1 if resumed is None else read_meta(resumed, trust).get('iter', -1)
    strangers = [path for path in saved_in(folder) if _steps(path) > steps]
    if start and any(path.samefile(start) for path in strangers if Path(start).exists()):
        raise UserError(f'{start} is in the folder of the run that shall begin from it; name another --work-dir')
    if not strangers:
        return []
    now = f'before_{datetime.now():%Y%m%d_%H%M%S}'
    place = next(place for place in (folder / f'{now}{"_" * n}' for n in count()) if not place.exists())
    place.mkdir()
    for path in strangers:
        path.replace(place / path.name)
    names = ', '.join(sorted(path.name for path in strangers))
    return [f'not of this run, and moved from {folder} to {place.name}: {names}']


def _steps(path: Path) -> float:
    """Steps that a checkpoint's run had done; of a damaged one, more than any."""
    try:
        return read_meta(path).get('iter', 0)
    except UserError:
        return float('inf')
