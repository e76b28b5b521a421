"""A part of the labelled images, drawn by seed, so that a smaller part is in each larger one."""

import json
import os
import random
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from mmsoco.files import atomic_path
from mmsoco.images.mini_coco import is_crowd


def order_of_images(whole: dict, seed: int, classes: Collection[str] = ()) -> list:
    """Images of COCO annotations by the order in which they are taken.

    First, from the rarest class on, an image for each class that has none yet; then all others.
    Both follow one shuffle. So each class is in every part that has room for it.

    Args:
        whole: COCO annotations, see :func:`~mmsoco.images.mini_coco.read_annotations`.
        seed: Other seed, other order.
        classes: Names of those that count; all where there are none.

    Returns:
        All ids of images.
    """
    ids = sorted(image['id'] for image in whole['images'])
    generator = random.Random(seed)
    shuffled = sorted(ids, key=lambda _: generator.random())
    position = {id_: i for i, id_ in enumerate(shuffled)}
    wanted = {category['id'] for category in whole['categories'] if not classes or category.get('name') in classes}
    of_class: dict = {}
    of_image: dict = {}
    for annotation in whole['annotations']:
        image, category = annotation['image_id'], annotation.get('category_id')
        if category in wanted and image in position and not is_crowd(annotation):
            of_class.setdefault(category, set()).add(image)
            of_image.setdefault(image, set()).add(category)
    covered: set = set()
    first = []
    for category in sorted(of_class, key=lambda category: (len(of_class[category]), str(category))):
        if category not in covered:
            image = min(of_class[category], key=position.__getitem__)
            first.append(image)
            covered |= of_image[image]
    taken = set(first)
    return first + [id_ for id_ in shuffled if id_ not in taken]


def draw(whole: dict, fraction: float, seed: int, classes: Collection[str] = ()) -> dict:
    """The annotations of a part of the images.

    Args:
        whole, seed, classes: See :func:`order_of_images`.
        fraction: Of the images, in (0, 1]; at least one is drawn.

    Returns:
        The same with the drawn images and their annotations alone, in the order of ``whole``.
    """
    order = order_of_images(whole, seed, classes)
    drawn = set(order[: max(1, round(fraction * len(order)))])
    return whole | {
        'images': [image for image in whole['images'] if image['id'] in drawn],
        'annotations': [annotation for annotation in whole['annotations'] if annotation['image_id'] in drawn],
    }


def count(part: dict, classes: Collection[str] = ()) -> dict:
    """Images and boxes of annotations.

    Returns:
        ``images``; ``boxes``; ``classes``, name -> boxes, with those that have none.
    """
    names = {
        category['id']: str(category.get('name', category['id']))
        for category in part['categories']
        if not classes or category.get('name') in classes
    }
    boxes = Counter(names[a['category_id']] for a in part['annotations'] if a.get('category_id') in names)
    by_class = {name: boxes[name] for name in names.values()}
    return {'images': len(part['images']), 'boxes': sum(by_class.values()), 'classes': by_class}


def write(part: dict, path: str | os.PathLike) -> None:
    """Write annotations, where they are not there already."""
    text = json.dumps(part)
    if not Path(path).is_file() or Path(path).read_text() != text:
        with atomic_path(path) as temporary:
            temporary.write_text(text)
