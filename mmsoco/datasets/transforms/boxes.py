"""Transforms that change boxes."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.registry import TRANSFORMS


def clip_boxes(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """(N, 4) xyxy boxes cut to [0, width] x [0, height]."""
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


@TRANSFORMS.register_module()
class BoxJitter(BaseTransform):
    """Move and scale each box a little (paper, section 3.2, "Box Jitter").

    With probability ``prob``, for each box on its own: the centre moves by
    r1 w, r2 h and the sides become w (1 + r3), h (1 + r4), each r drawn from
    U(-ratio, ratio). The boxes are then cut to the view.

    Args:
        prob: Probability for each box (paper: 0.5).
        ratio: Largest relative change (paper: 0.1).

    Keys: ``boxes``, a dict of (N, 4) float32 xyxy in pixels of ``img``; ``rng``.
    """

    def __init__(self, prob: float = 0.5, ratio: float = 0.1):
        self.prob = prob
        self.ratio = ratio

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        for name, boxes in results['boxes'].items():
            results['boxes'][name] = clip_boxes(self._jitter(boxes, results['rng']), width, height)
        return results

    def _jitter(self, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sides = boxes[:, 2:] - boxes[:, :2]
        chosen = rng.random((len(boxes), 1)) < self.prob
        shift, scale = np.split(rng.uniform(-self.ratio, self.ratio, (len(boxes), 4)) * chosen, 2, axis=1)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift * sides
        halves = sides * (1 + scale) / 2
        jittered = np.concatenate([centers - halves, centers + halves], axis=1)
        # Untouched boxes stay what they are to the last bit.
        return np.where(chosen, jittered, boxes).astype(boxes.dtype)


@TRANSFORMS.register_module()
class HorizontalFlip(BaseTransform):
    """Mirror a view and its boxes.

    Args:
        prob: Probability (paper, after BYOL: 0.5).

    Keys: ``img`` (H, W, 3); ``boxes``, a dict of (N, 4) xyxy; ``rng``.
    """

    def __init__(self, prob: float = 0.5):
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if results['rng'].random() < self.prob:
            width = results['img'].shape[1]
            results['img'] = results['img'][:, ::-1]
            for name, boxes in results['boxes'].items():
                mirrored = boxes.copy()
                mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
                results['boxes'][name] = mirrored
        return results
