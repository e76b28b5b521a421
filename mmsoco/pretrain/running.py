"""Carrying out a plan, from wherever it was left."""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from mmsoco.errors import UserError, one_line
from mmsoco.files import atomic_path, check_folder
from mmsoco.images.archives import exists
from mmsoco.images.lists import ImageList, read_list, write_list
from mmsoco.pretrain.asked import Asked, Row
from mmsoco.pretrain.config import resolve, write_config
from mmsoco.pretrain.objects import format_trials
from mmsoco.pretrain.plan import CONFIG, LINES, LIST, OURS, PLAN, Plan, compare_line, mmdet_lines, steps_of
from mmsoco.pretrain.planning import make_plan
from mmsoco.resources import PREFIX
from mmsoco.run_lock import NAME as LOCK
from mmsoco.run_lock import RunLock
from mmsoco.steps import in_words, run_steps


def pretrain(images: str, out: Path, asked: Asked, dry_run: bool = False, say: Callable[[str], None] = print) -> None:
    """From a folder of images to a checkpoint, weights for other tools and a report; or what is left of it to do.

    Args:
        images: The folder, or an archive.
        out: Folder for all files.
        asked: What the user asks for.
        dry_run: Say what would be done, and write nothing.
        say: Prints a line.

    Raises:
        UserError: Something that was given is wrong, or a step failed.
    """
    plan = _former_plan(images, out, asked)
    if dry_run:
        _carry_out(plan, images, out, asked, dry_run, say)
        return
    lock = RunLock(out, '--out')
    lock.acquire()
    try:
        # Another call may have made one meanwhile.
        _carry_out(_former_plan(images, out, asked), images, out, asked, dry_run, say)
    finally:
        lock.release()


def _carry_out(
    plan: Plan | None, images: str, out: Path, asked: Asked, dry_run: bool, say: Callable[[str], None]
) -> None:
    names = None
    if plan is None:
        plan, names = make_plan(images, asked, say)
    say('')
    say(table(plan.rows, min(118, shutil.get_terminal_size((118, 24)).columns)))
    if plan.trials:
        say('')
        say(format_trials(plan.trials))
    steps = steps_of(plan, out)
    if dry_run:
        say('')
        written = f'{_files(out)} would be; then these' if names is not None else 'These'
        say(f'Nothing is written. {written} commands would run:')
        for line in (line for step in steps if not step.is_done for line in step.commands):
            say(f'    {in_words(line)}')
        return
    if names is not None:
        _write(plan, out, names)
    elif not steps[0].is_done:
        _require_images(plan, out)
    say('')
    say(f'{_files(out)} are written; each command can be run by hand')
    run_steps(steps, out, say)
    say('')
    say(f'Checkpoint: {plan.checkpoint(out)}')
    say(f'Report:     {out}/report.html, for a browser')
    say(f'In your mmdet config ({out}/{LINES}):')
    say(textwrap.indent(mmdet_lines(plan, out), '    ').rstrip())
    if line := compare_line(plan, out):
        say('Does it help, on your labelled images (COCO format)?')
        say(f'    {line}')


def _files(out: Path) -> str:
    return f'{out}/{CONFIG}, {LIST}, {LINES} and {PLAN}'


def _former_plan(images: str, out: Path, asked: Asked) -> Plan | None:
    """The plan that is in the folder, to go on with.

    Raises:
        UserError: It is of another pretraining, or the folder is for something else.
    """
    check_folder(out)
    if out.resolve().is_relative_to(Path(images).resolve()):
        raise UserError(
            f'{out} is in the folder of the images, and what is drawn would be found as more; give another --out'
        )
    former = Plan.read(out)
    if former is None:
        there = [path for path in out.iterdir() if not path.name.startswith('.')] if out.is_dir() else []
        if others := [path.name for path in there if path.name != LOCK and not _is_ours(path)]:
            raise UserError(f'{out} holds something else ({min(others)}); give a new folder by --out')
        return None
    now, then = (
        {'images': str(Path(i).resolve()), **asdict(a)} for i, a in ((images, asked), (former.images, former.asked))
    )
    differing = [key for key in now if now[key] != then[key]]
    if differing:
        key = differing[0]
        raise UserError(
            f'{out} is of another pretraining ({key} {then[key]}, now {now[key]}); to go on give what was given then, '
            'else another folder by --out'
        )
    return former


def _is_ours(path: Path) -> bool:
    """Whether a file is what a call left that was killed before it had written the plan."""
    if path.name not in (CONFIG, LINES, LIST) or not path.is_file():
        return False
    with path.open(encoding='utf-8', errors='replace') as file:
        return file.readline().startswith(f'# {OURS}')


def _require_images(plan: Plan, out: Path) -> None:
    """Refuse to search a folder from which images of the plan are gone.

    Raises:
        UserError: Some are not there.
    """
    names = read_list(out / LIST).names
    root = Path(plan.facts.root)
    if root.exists() and (gone := [name for name in names if not exists(root / name)]):
        raise UserError(
            f'{len(gone)} of {len(names)} images that {out} is planned for are not in {plan.images} any more, such as '
            f'{one_line(gone[0])}; put them back, or give another --out to plan anew'
        )


def _write(plan: Plan, out: Path, names: Sequence[str]) -> None:
    """The files that the commands read; the plan last, as with it there are all."""
    out.mkdir(parents=True, exist_ok=True)
    title = f'{OURS}: {len(names)} of {plan.facts.found} images, those that can be read, each content once'
    write_list(out / LIST, ImageList(title, list(names)))
    recipe, network = plan.recipe, plan.network
    cfg = resolve(recipe, network, plan.view, plan.steps, plan.facts.root, (out / 'proposals.arrow').resolve())
    title = f'{OURS}: {PREFIX}own/{recipe.name}.py for {plan.images}, resolved; mmsoco train {out / CONFIG} trains it'
    write_config(cfg, out / CONFIG, title)
    with atomic_path(out / LINES) as temporary:
        temporary.write_text(mmdet_lines(plan, out), 'utf-8')
    plan.write(out)


def table(rows: Sequence[Row], width: int = 118) -> str:
    """The lines of a plan, as text."""
    first = max(len(row.about) for row in rows) + 2
    second = min(max(len(row.choice) for row in rows), 44) + 2
    lines = []
    for row in rows:
        whys = textwrap.wrap(row.why, max(width - first - second, 20)) or ['']
        choices = textwrap.wrap(row.choice, second - 2) or ['']
        for i in range(max(len(whys), len(choices))):
            cells = [row.about if i == 0 else '', choices[i] if i < len(choices) else '']
            why = whys[i] if i < len(whys) else ''
            lines.append(f'{cells[0]:<{first}}{cells[1]:<{second}}{why}'.rstrip())
    return '\n'.join(lines)
