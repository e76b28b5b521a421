"""Labelled images of one's own in the place of those that a detector's config names."""

import copy
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config, ConfigDict

from mmsoco.compare import fractions
from mmsoco.compare.labels import labelled, mappings
from mmsoco.errors import UserError
from mmsoco.images.decoding import UnreadableImage, image_size
from mmsoco.images.mini_coco import is_crowd, read_annotations

#: Heads whose classes are not those of the labels: object or not; stuff.
_OTHER_CLASSES = ('rpn_head', 'semantic_head')
_BOX_DETECTOR = 'mmsoco::own/detectors/faster-rcnn_r18fpn_cpu.py or faster-rcnn_r50fpn_gpu.py'


class OwnData(NamedTuple):
    """Training and evaluation data that mmdet can read.

    Attributes:
        train, train_images: COCO JSON, and the folder that its file names begin in.
        val, val_images: Those of the evaluation.
        classes: Names, in the order of the categories' ids in ``train``.
        unmasked: What of the labels has no segmentation, in words; empty where all has one.
        notes: What to say of it.
    """

    train: str
    train_images: str
    val: str
    val_images: str
    classes: tuple[str, ...]
    unmasked: str
    notes: tuple[str, ...]


def look_through(
    train: Sequence[str], val: Sequence[str], folder: str | os.PathLike, elsewhere: str | os.PathLike | None = None
) -> OwnData:
    """Check data in COCO format, and complete what mmdet needs and many tools leave out.

    Args:
        train, val: JSON and folder of images.
        folder: For completed copies of the JSONs, which are written only where something was to be completed.
        elsewhere: Where to write those that are not in ``folder`` already; None for ``folder``.

    Raises:
        UserError: Something of it cannot be trained on, or would make the evaluation meaningless.
    """
    parts = {'train': (Path(train[0]), Path(train[1])), 'val': (Path(val[0]), Path(val[1]))}
    wholes = {part: read_annotations(path) for part, (path, _) in parts.items()}
    if Path(train[0]).samefile(val[0]):
        raise UserError(f'--train and --val are both {val[0]}; a detector is evaluated on images it was not trained on')
    images = {part: require_images(path, wholes[part], root) for part, (path, root) in parts.items()}
    if both := images['train'] & images['val']:
        raise UserError(
            f'{len(both)} of {len(images["val"])} images of {val[0]} are in {train[0]}, too, first {min(both)}; '
            'a detector is evaluated on images it was not trained on'
        )
    classes = class_names(parts['train'][0], wholes['train'])
    others = class_names(parts['val'][0], wholes['val'])
    if odd := set(classes) ^ set(others):
        name = min(odd)
        there, lacking = (train[0], val[0]) if name in classes else (val[0], train[0])
        raise UserError(f'{there} has the category {name!r}, {lacking} has not; list the same categories in both')
    paths, notes, unmasked = {}, [], ''
    for part, (path, root) in parts.items():
        found = complete(path, wholes[part], root, classes)
        boxes = usable(path, found)
        paths[part] = str(path.absolute())
        if found != wholes[part]:
            paths[part] = _write(found, Path(folder), part, elsewhere)
        bare = sum(not box.get('segmentation') for box in boxes)
        unmasked = unmasked or (f'{bare} of {len(boxes)} boxes of {path}' if bare else '')
        counts = Counter(box['category_id'] for box in boxes)
        by_class = ', '.join(f'{category["name"]} {counts[category["id"]]}' for category in found['categories'][:10])
        more = f' and {len(classes) - 10} more' if len(classes) > 10 else ''
        notes.append(f'{part}: {len(found["images"])} images, {len(boxes)} boxes: {by_class}{more}')
        if lost := len(wholes[part]['annotations']) - len(found['annotations']):
            notes.append(f'{part}: {lost} annotations without width, height or a listed category are left out')
        listed = {image['id'] for image in found['images']}
        if strange := sum(one['image_id'] not in listed for one in found['annotations']):
            notes.append(f'{part}: {strange} annotations are of images that it does not list, and count for nothing')
    roots = {part: str(root.absolute()) for part, (_, root) in parts.items()}
    return OwnData(paths['train'], roots['train'], paths['val'], roots['val'], classes, unmasked, tuple(notes))


def require_images(path: Path, whole: dict, root: Path) -> set[str]:
    """The paths of the images of a JSON.

    Raises:
        UserError: Some are not there.
    """
    if not root.is_dir():
        raise UserError(f'{root} is no folder; name the one that the file names in {path} begin in')
    if not all(isinstance(image.get('file_name'), str) for image in whole['images']):
        raise UserError(f'{path} is not COCO JSON: an entry of its images has no file_name')
    # Without links followed, but without .. and //, so that equal ones are equal.
    found = [os.path.abspath(root / image['file_name']) for image in whole['images']]  # noqa: PTH100
    if missing := [name for name in found if not os.path.isfile(name)]:  # noqa: PTH113, a hundred thousand times
        raise UserError(
            f'{len(missing)} of {len(found)} images of {path} are not there, first {missing[0]}; name the folder that '
            'its file names begin in, or take them out of it'
        )
    return set(found)


def class_names(path: Path, whole: dict) -> tuple[str, ...]:
    """Names of the categories, in the order of their ids.

    Raises:
        UserError: There are none, or they have no names of their own.
    """
    names = [category.get('name') for category in sorted(whole['categories'], key=_order)]
    if not names:
        raise UserError(f'{path} has no categories; list the names of your classes, with ids, there')
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise UserError(f'{path}: give each of its categories a name of its own')
    if len({category['id'] for category in whole['categories']}) < len(names):
        raise UserError(f'{path}: give each of its categories an id of its own')
    return tuple(names)


def _order(category: dict) -> tuple:
    return isinstance(category['id'], str), category['id']


def complete(path: Path, whole: dict, root: Path, classes: Sequence[str]) -> dict:
    """Annotations with all that mmdet and COCO's evaluation need, which some tools leave out.

    Widths and heights of images; areas, ``iscrowd`` and ids of annotations, from 1 on: COCO's evaluation takes 0 for
    none. Categories in one order, by which mmdet counts classes. Boxes without width or height are left out:
    mmdet does not train on them, and in an evaluation nothing could find them.

    Args:
        path: To be named in errors.
        whole: See :func:`~mmsoco.images.mini_coco.read_annotations`; stays as it is.
        root: Folder of the images.
        classes: Names of the categories in the order that they shall have.

    Raises:
        UserError: A box is no box, or an image that should be measured cannot be read.
    """
    categories = {category['name']: category for category in whole['categories']}
    listed = {category['id'] for category in whole['categories']}
    ids = [one.get('id') for one in whole['annotations']]
    sound = all(type(id_) is int and id_ > 0 for id_ in ids) and len(set(ids)) == len(ids)
    annotations = []
    for number, one in enumerate(whole['annotations'], 1):
        box = one.get('bbox')
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            raise UserError(f'{path}: annotation {one.get("id", number)} has no bbox of x, y, width, height; add one')
        # By a list: an id may be anything.
        if min(box[2:]) <= 0 or one.get('category_id') not in list(listed):
            continue
        area = one.get('area')
        area = area if type(area) in (int, float) and area > 0 else box[2] * box[3]
        id_ = one['id'] if sound else number
        annotations.append({**one, 'id': id_, 'area': area, 'iscrowd': int(is_crowd(one))})
    if whole['annotations'] and not annotations:
        first = whole['annotations'][0].get('category_id')
        ids = ', '.join(map(repr, sorted(listed, key=str)[:5]))
        raise UserError(
            f'none of the {len(whole["annotations"])} annotations of {path} has a width, a height and a listed '
            f'category; the first one has the category_id {first!r}, its categories have {ids}'
        )
    return whole | {
        'images': [_measured(path, image, root) for image in whole['images']],
        'annotations': annotations,
        'categories': [categories[name] for name in classes],
    }


def _is_number(side: object) -> bool:
    return type(side) in (int, float) and math.isfinite(side)


def _measured(path: Path, image: dict, root: Path) -> dict:
    if all(type(image.get(side)) in (int, float) and image[side] > 0 for side in ('width', 'height')):
        return image
    try:
        width, height = image_size(root / image['file_name'])
    except UnreadableImage as error:
        raise UserError(
            f'{path} does not say how large {image["file_name"]} is, and it cannot be read: {error}'
        ) from None
    return {**image, 'width': width, 'height': height}


def usable(path: Path, whole: dict) -> list[dict]:
    """The boxes that mmdet trains on: at least 1 px, in the image, no crowds.

    Raises:
        UserError: There are none.
    """
    sizes = {image['id']: (image['width'], image['height']) for image in whole['images']}
    found = []
    for one in whole['annotations']:
        x, y, width, height = one['bbox']
        across, down = sizes.get(one['image_id'], (0, 0))
        inside = min(x + width, across) > max(x, 0) and min(y + height, down) > max(y, 0)
        if inside and width >= 1 and height >= 1 and not one['iscrowd']:
            found.append(one)
    if not found:
        raise UserError(
            f'none of the {len(whole["annotations"])} annotations of {path} is a box of at least 1 px in its image; '
            'boxes are x, y, width, height in pixels'
        )
    return found


def _write(whole: dict, folder: Path, part: str, elsewhere: str | os.PathLike | None) -> str:
    """Write annotations, where they are not there already; by a name of their own, as others may be in use."""
    text = json.dumps(whole)
    path = folder / f'{part}_{hashlib.sha256(text.encode()).hexdigest()[:8]}.json'
    if elsewhere is not None and not (path.is_file() and path.read_text() == text):
        path = Path(elsewhere, path.name)
    fractions.write(whole, path)
    return str(path.absolute())


def put(cfg: Config, own: OwnData) -> None:
    """Let a detector's config train and evaluate on other data: files, classes, heads and metric.

    Args:
        cfg: Of a detector on one data set, whichever; changed in place.
        own: The data.

    Raises:
        UserError: It is of several data sets, has no classes, or learns masks, which the labels lack.
    """
    places = {'train_dataloader': (own.train, own.train_images), 'val_dataloader': (own.val, own.val_images)}
    for loader, (annotations, images) in places.items():
        found = list(labelled(cfg[loader].dataset))
        if len(found) != 1:
            raise UserError(
                f'{loader} of {cfg.filename} is of {len(found)} data sets with an ann_file; --train and --val take the '
                'place of one'
            )
        former = dict(found[0])
        found[0].clear()
        found[0].update(
            type='mmdet.CocoDataset',
            data_root='',
            ann_file=annotations,
            data_prefix=dict(img=f'{images}/'),
            metainfo=dict(classes=own.classes),
            pipeline=former['pipeline'],
            test_mode=former.get('test_mode', False),
        )
        if 'filter_cfg' in former:
            # Not mmdet's min_size: small images are meant.
            found[0].filter_cfg = dict(filter_empty_gt=former['filter_cfg'].get('filter_empty_gt', True))
    heads = [part for part in mappings(cfg.model, leave=_OTHER_CLASSES) if 'num_classes' in part]
    if not heads:
        raise UserError(f'no head of {cfg.filename} has num_classes; --train and --val need a detector of classes')
    for head in heads:
        head['num_classes'] = len(own.classes)
    masks = any(step.get('with_mask') for step in mappings(cfg.train_dataloader.dataset))
    if masks and own.unmasked:
        raise UserError(
            f'{cfg.filename} learns masks, and {own.unmasked} have no segmentation; take a detector of boxes, such as '
            + _BOX_DETECTOR
        )
    metric = ['bbox', 'segm'] if masks else ['bbox']
    if masks and isinstance(cfg.val_evaluator, dict) and cfg.val_evaluator.get('metric') == 'segm':
        metric = ['segm']  # some have no boxes
    cfg.val_evaluator = ConfigDict(type='mmsoco.CocoMetric', ann_file=own.val, metric=metric)
    cfg.test_evaluator = copy.deepcopy(cfg.val_evaluator)
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    if cfg.get('test_cfg') is None:
        cfg.test_cfg = ConfigDict(type='TestLoop')
