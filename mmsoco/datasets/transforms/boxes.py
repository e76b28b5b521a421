"""Transforms that change boxes."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.boxes import clip_boxes, iou
from mmsoco.errors import UserError
from mmsoco.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BoxJitter(BaseTransform):
    """Move and scale each box a little (paper, section 3.2, "Box Jitter").

    With probability ``prob``, for each box on its own: the anchor moves by
    r1 w, r2 h and the sides become w (1 + r3), h (1 + r4), each r drawn from
    U(-ratio, ratio). The boxes are then cut to the view.

    Args:
        prob: Probability for each box (paper: 0.5).
        ratio: Largest relative change (paper: 0.1).
        anchor: What moves and stays while the sides change: the ``center``
            (paper) or the ``corner`` x1, y1 (official code).

    Raises:
        ValueError: Another anchor is given.

    Keys: ``boxes``, a dict of (N, 4) float32 xyxy in pixels of ``img``; ``rng``.
    """

    ANCHORS = {'corner': 0.0, 'center': 0.5}

    def __init__(self, prob: float = 0.5, ratio: float = 0.1, anchor: str = 'center'):
        if anchor not in self.ANCHORS:
            raise ValueError(f"anchor '{anchor}' is unknown; choose one of {', '.join(self.ANCHORS)}")
        self.prob = prob
        self.ratio = ratio
        # Where in the box the anchor is, as a fraction of its sides.
        self.anchor = self.ANCHORS[anchor]

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        for name, boxes in results['boxes'].items():
            results['boxes'][name] = clip_boxes(self._jitter(boxes, results['rng']), width, height)
        return results

    def _jitter(self, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sides = boxes[:, 2:] - boxes[:, :2]
        chosen = rng.random((len(boxes), 1)) < self.prob
        changes = rng.uniform(-self.ratio, self.ratio, (len(boxes), 4)) * chosen
        shift, scale = changes[:, :2], changes[:, 2:]
        anchors = boxes[:, :2] + (self.anchor + shift) * sides
        jittered_sides = sides * (1 + scale)
        low = anchors - self.anchor * jittered_sides
        jittered = np.concatenate([low, low + jittered_sides], axis=1)
        # Untouched boxes stay what they are to the last bit.
        return np.where(chosen, jittered, boxes).astype(boxes.dtype)


@TRANSFORMS.register_module()
class HorizontalFlip(BaseTransform):
    """Mirror a view and its boxes.

    Args:
        prob: Probability (paper, after BYOL: 0.5).

    Keys: ``img`` (H, W, C); ``boxes``, a dict of (N, 4) xyxy; ``rng``.
    """

    def __init__(self, prob: float = 0.5):
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if results['rng'].random() < self.prob:
            width = results['img'].shape[1]
            # A negative stride would be copied by each of OpenCV's functions. Of one channel, it drops the axis.
            results['img'] = cv2.flip(results['img'], 1).reshape(results['img'].shape)
            for name, boxes in results['boxes'].items():
                mirrored = boxes.copy()
                mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
                results['boxes'][name] = mirrored
        return results


@TRANSFORMS.register_module()
class BoxCutout(BaseTransform):
    """Hide a square of each box (official code only).

    With probability ``prob``, for each box on its own: a square is filled whose
    centre is drawn uniformly from the box, and which is cut to the view.

    Args:
        prob: Probability for each box (official code: 0.5).
        area: Range of the square's area, as a fraction of the box's (official
            code: 0.1 to 0.3).
        fill: Value of each channel in the square. The default is ImageNet's mean colour,
            which normalisation turns into 0, the official code's value.

    Raises:
        UserError: ``fill`` is of other channels than the images.

    Keys: ``img`` (H, W, C) uint8; ``boxes``, a dict of (N, 4) xyxy; ``rng``.
    """

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.1, 0.3),
        fill: Sequence[int] = (124, 116, 104),
    ):
        self.prob = prob
        self.area = area
        self.fill = fill

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        results['img'] = results['img'].copy()
        channels = results['img'].shape[2]
        if len(self.fill) != channels:
            raise UserError(
                f'BoxCutout fills with {len(self.fill)} values, and the images have {channels} channels; give their '
                'means as fill (mmsoco statistics measures them)'
            )
        height, width = results['img'].shape[:2]
        for box in np.concatenate([np.empty((0, 4)), *results['boxes'].values()]):
            if rng.random() < self.prob:
                side = np.sqrt((box[2:] - box[:2]).prod() * rng.uniform(*self.area))
                corner = rng.uniform(box[:2], box[2:]) - side / 2
                x1, y1, x2, y2 = clip_boxes(np.rint([*corner, *corner + side]), width, height).astype(int)
                results['img'][y1:y2, x1:x2] = self.fill
        return results


@TRANSFORMS.register_module()
class Thin(BaseTransform):
    """Leave out proposals that lie on others, in random order: what remains overlaps little.

    Args:
        max_overlap: Largest IoU of two that remain.

    Keys: ``proposals`` (N, 4) xyxy; ``rng``.
    """

    def __init__(self, max_overlap: float = 0.5):
        self.max_overlap = max_overlap

    def transform(self, results: dict) -> dict:
        left = results['rng'].permutation(results['proposals'])
        kept = left[:0]
        # One row of overlaps at a time: some images have thousands of boxes.
        while len(left):
            first, left = left[:1], left[1:]
            kept = np.concatenate([kept, first])
            left = left[iou(first, left)[0] <= self.max_overlap]
        results['proposals'] = kept
        return results
