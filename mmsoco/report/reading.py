"""Reading what a page tells from the files of a pretraining."""

import importlib.metadata
import platform
from contextlib import suppress
from pathlib import Path

from mmengine.config import Config

import mmsoco
from mmsoco.errors import UserError
from mmsoco.pretrain.plan import Plan
from mmsoco.report.content import Content
from mmsoco.report.learning import tell_learning, tell_views
from mmsoco.report.planned import tell_plan
from mmsoco.report.proposals import tell_boxes

#: What is asked for versions.
PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain', 'numpy', 'opencv-contrib-python')


def read_content(folder: Path) -> Content:
    """Read what a pretraining left: the folder of ``mmsoco pretrain``, or the work folder of a training.

    Of files that are damaged nothing is told: a report is there to be looked at, and all else is done.

    Raises:
        UserError: The folder holds no pretraining.
    """
    work = folder / 'train' if (folder / 'train').is_dir() else folder
    plan, damage = None, ''
    try:
        plan = Plan.read(folder) if folder.is_dir() else None
    except UserError as error:
        damage = str(error)
    if plan is None and not any(work.glob('*/vis_data/scalars.json')):
        no_run = f'{folder} holds no pretraining; name its work folder, or the one that mmsoco pretrain wrote'
        raise UserError(damage or no_run)
    config = _config(folder, work)
    content = Content(str(folder.resolve()), _title(plan, folder))
    content.versions = versions()
    if plan is not None:
        tell_plan(content, plan, folder)
    else:
        content.lines = _lines_of(work)
    proposals = folder / 'proposals.arrow'
    if not proposals.exists() and config is not None:
        proposals = Path(config.train_dataloader.dataset.get('proposal_file', ''))
    # A search that is not at its end cannot be measured.
    raw = folder / 'raw' if (folder / 'raw/failures.csv').exists() else None
    with suppress(UserError):
        tell_boxes(content, proposals, raw, config and config.train_dataloader.dataset.get('held_out'))
    tell_views(content, work)
    tell_learning(content, work, plan.asked.init if plan else _began_with(work))
    if damage:
        content.says.insert(0, damage)
    return content


def _title(plan: Plan | None, folder: Path) -> str:
    if plan is None:
        return folder.resolve().name
    network = plan.network.backbone or 'ResNet-18 at half its width'
    return f'{plan.network.detector} with {network}'


def _config(folder: Path, work: Path) -> Config | None:
    """The run's config; of a run, and its resumptions, the last one's."""
    for path in [*sorted(work.glob('*/vis_data/config.py'), reverse=True), folder / 'config.py']:
        # Not to be had, or damaged.
        with suppress(Exception):
            return Config.fromfile(path)
    return None


def _began_with(work: Path) -> str | None:
    """The weights that a training began with, by its first run's config."""
    for path in sorted(work.glob('*/vis_data/config.py'))[:1]:
        with suppress(Exception):
            config = Config.fromfile(path)
            return None if config.get('resume') else config.get('load_from')
    return None


def _lines_of(work: Path) -> str:
    """The two lines, for a work folder's newest checkpoint."""
    found = sorted(work.glob('*.pth'), key=lambda path: path.stat().st_mtime)
    if not found:
        return ''
    return f"load_from = {str(found[-1].resolve())!r}\ncustom_hooks = [dict(type='mmsoco.TransferHook')]\n"


def versions() -> list[tuple[str, str]]:
    """What is installed here."""
    rows = [('mmsoco', mmsoco.__version__), ('Python', platform.python_version())]
    for name in PACKAGES:
        # The maintained line of OpenMMLab has names of its own.
        for called in (name, f'onedl-{name.replace("mmdet", "mmdetection")}'):
            try:
                rows.append((called, importlib.metadata.version(called)))
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return rows
