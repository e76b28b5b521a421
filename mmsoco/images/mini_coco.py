"""A part of the images of a COCO annotation file, drawn at random (paper, table 8 and appendix C)."""

import json
import os
import random
from pathlib import Path

import mmsoco
from mmsoco.errors import UserError, reason
from mmsoco.files import atomic_path, check_out, read_regular

LISTS = ('images', 'annotations', 'categories')


def default_out(annotations: str | os.PathLike, percent: float, seed: int) -> Path:
    """Where :func:`sample_file` writes when not told: beside the whole, with the part in the name.

    The configs of ``configs/transfer/mini_coco`` read these names.
    """
    path = Path(annotations)
    return path.with_name(f'{path.stem}_{percent:g}percent_seed{seed}.json')


def sample_file(
    annotations: str | os.PathLike, out: str | os.PathLike | None, percent: float, seed: int = 0
) -> tuple[Path, dict]:
    """Draw images of an annotation file and write those with what belongs to them.

    Args:
        annotations: COCO JSON.
        out: File to write; None for :func:`default_out`.
        percent: Of the images, in (0, 100].
        seed: See :func:`sample`.

    Returns:
        The file written and what it holds.

    Raises:
        UserError: There is no such file, it is not COCO JSON, ``percent`` is
            out of range, or ``out`` is a folder or the file itself.
    """
    out = default_out(annotations, percent, seed) if out is None else Path(out)
    check_percent(percent)
    check_out(out, annotations, what='the file that is drawn from')
    part = sample(read_annotations(annotations), percent, seed)
    part['info']['drawn']['from'] = Path(annotations).name
    with atomic_path(out) as temporary:
        temporary.write_text(json.dumps(part))
    return out, part


def sample(whole: dict, percent: float, seed: int = 0) -> dict:
    """Draw images at random, the same ones in whatever order they are listed.

    With one seed, a smaller part is contained in a larger one.

    Args:
        whole: COCO annotations, see :func:`read_annotations`.
        percent: Of the images, in (0, 100]; at least one is drawn.
        seed: Other seed, other images.

    Returns:
        The same with the drawn images and their annotations alone, in the
        order of ``whole``; ``info.drawn`` says how it was made.

    Raises:
        UserError: ``percent`` is out of range.
    """
    check_percent(percent)
    ids = sorted(image['id'] for image in whole['images'])
    # Python promises the same random() for a seed in every version, and no more.
    generator = random.Random(seed)
    shuffled = sorted(ids, key=lambda _: generator.random())
    drawn = set(shuffled[: max(1, round(len(ids) * percent / 100))])
    info = whole.get('info')
    how = dict(by=f'mmsoco {mmsoco.__version__}', percent=percent, seed=seed, images=len(drawn), of=len(ids))
    return whole | {
        'info': (info if isinstance(info, dict) else {}) | {'drawn': how},
        'images': [image for image in whole['images'] if image['id'] in drawn],
        'annotations': [annotation for annotation in whole['annotations'] if annotation['image_id'] in drawn],
    }


def check_percent(percent: float) -> None:
    """Refuse what is no part of a whole.

    Raises:
        UserError: ``percent`` is not in (0, 100].
    """
    if not 0 < percent <= 100:
        raise UserError(f'{percent:g} percent cannot be drawn; give a number above 0 and up to 100')


def read_annotations(path: str | os.PathLike) -> dict:
    """Read COCO annotations of objects.

    Raises:
        UserError: There is no such file, or it is not COCO JSON, or holds no
            image, or one twice.
    """
    try:
        whole = json.loads(read_regular(path))
    except FileNotFoundError:
        raise UserError(f'{path} does not exist; give annotations such as instances_train2017.json') from None
    except OSError as error:
        raise UserError(f'{path} cannot be read: {reason(error, bare=True)}') from None
    except (ValueError, RecursionError):
        raise UserError(f'{path} is not COCO JSON: it is not JSON, or cut off') from None
    if not isinstance(whole, dict) or not all(is_list_of_objects(whole.get(name)) for name in LISTS):
        raise UserError(f'{path} is not COCO JSON: it should hold the lists {", ".join(LISTS)}')
    for name, key in zip(LISTS, ('id', 'image_id', 'id'), strict=True):
        if not all(isinstance(entry.get(key), int | str) for entry in whole[name]):
            raise UserError(f'{path} is not COCO JSON: an entry of its {name} has no {key}')
    ids = [image['id'] for image in whole['images']]
    if not ids:
        raise UserError(f'{path} has no images to draw from')
    if len({type(id_) for id_ in ids}) > 1 or len(set(ids)) < len(ids):
        raise UserError(f'{path} is not COCO JSON: two of its images have the same id, or ids of different kinds')
    return whole


def is_list_of_objects(value: object) -> bool:
    """Whether a JSON value is a list of objects."""
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def is_crowd(annotation: dict) -> bool:
    """Whether an annotation is of a crowd; tables that JSON was made from may have left the flag as text."""
    flag = annotation.get('iscrowd')
    return str(flag).strip().lower() not in ('', '0', '0.0', 'false', 'none', 'nan')
