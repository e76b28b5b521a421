"""How large objects are where a detector sees them, beside its anchors."""

import numpy as np
from mmcv.image import rescale_size
from mmdet.registry import TASK_UTILS
from mmengine.config import Config

from mmsoco.compare.labels import mappings
from mmsoco.compare.schedules import bare_type
from mmsoco.resources import named

#: Share of objects below which nothing is said.
_MANY = 0.1


def describe_sizes(cfg: Config, whole: dict) -> str | None:
    """Sizes of objects, in pixels of the images that a detector is evaluated on, beside those of its anchors.

    A size is the root of a box's area. An anchor twice as large as an object overlaps it by a quarter, less than
    the 0.3 from which on mmdet's RPN takes an anchor for it.

    Args:
        cfg: Of a detector.
        whole: COCO annotations with boxes.

    Returns:
        One line; None of a detector without anchors, or whose images are not brought to one scale.
    """
    steps = mappings(cfg.val_dataloader.dataset)
    resize = next((step for step in steps if bare_type(step) == 'Resize' and step.get('scale')), None)
    generator = next((part['anchor_generator'] for part in mappings(cfg.model) if part.get('anchor_generator')), None)
    if resize is None or generator is None:
        return None
    scale = resize['scale']
    factors = {}
    for image in whole['images']:
        size = (image['width'], image['height'])
        seen = rescale_size(size, tuple(scale)) if resize.get('keep_ratio') else scale
        factors[image['id']] = np.sqrt(np.prod(seen) / np.prod(size))
    sides = [
        np.sqrt(one['bbox'][2] * one['bbox'][3]) * factors[one['image_id']]
        for one in whole['annotations']
        if one['image_id'] in factors
    ]
    base = np.concatenate([anchors.numpy() for anchors in TASK_UTILS.build(generator).base_anchors])
    anchors = np.sqrt((base[:, 2] - base[:, 0]) * (base[:, 3] - base[:, 1]))
    low, high = np.percentile(sides, [5, 95])
    words = (
        f'objects measure {low:.0f} to {high:.0f} px (nine of ten) in images of {scale[0]} x {scale[1]}, anchors '
        f'{anchors.min():.0f} to {anchors.max():.0f} px'
    )
    small = np.mean(np.array(sides) < anchors.min() / 2)
    if small > _MANY:
        words += f'; {small:.0%} are under half the smallest anchor: see "Small objects" in {named("docs/compare.md")}'
    return words
