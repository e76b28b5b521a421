"""BYOL's colour augmentations on uint8 RGB arrays, with OpenCV.

The results are those of torchvision's PIL transforms, up to rounding; the draws
come from ``results['rng']`` instead of global generators.
"""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.registry import TRANSFORMS

#: Weights of ITU-R 601 luma, as Pillow and OpenCV use.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEVELS = np.arange(256, dtype=np.float32)


def _lookup(img: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return cv2.LUT(img, np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def adjust_brightness(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: 0 gives black, 1 the image."""
    return _lookup(img, _LEVELS * factor)


def adjust_contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean of the grey image: 0 gives flat grey, 1 the image."""
    mean = np.rint(cv2.mean(cv2.cvtColor(img, cv2.COLOR_RGB2GRAY))[0])
    return _lookup(img, mean + (_LEVELS - mean) * factor)


def adjust_saturation(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image: 0 gives grey, 1 the image."""
    return cv2.transform(img, factor * np.eye(3, dtype=np.float32) + (1 - factor) * np.tile(_LUMA, (3, 1)))


def adjust_hue(img: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by ``shift`` of a full turn, -0.5 to 0.5."""
    hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV_FULL)
    hue = (np.arange(256) + round(shift * 256)) % 256
    same = np.arange(256)
    table = np.stack([hue, same, same], axis=1).astype(np.uint8)
    return cv2.cvtColor(cv2.LUT(hsv, table[None]), cv2.COLOR_HSV2RGB_FULL)


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue, in random order.

    Args:
        prob: Probability of any change (BYOL: 0.8).
        brightness, contrast, saturation: The factors are drawn from
            U(max(0, 1 - value), 1 + value) (BYOL: 0.4, 0.4, 0.2).
        hue: The turn is drawn from U(-hue, hue) (BYOL: 0.1).
    """

    def __init__(
        self,
        prob: float = 0.8,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
    ):
        self.prob = prob
        factor = [(max(0.0, 1 - value), 1 + value) for value in (brightness, contrast, saturation)]
        self.steps = list(
            zip(
                (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue),
                (*factor, (-hue, hue)),
                strict=True,
            )
        )

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        if rng.random() < self.prob:
            for i in rng.permutation(len(self.steps)):
                adjust, bounds = self.steps[i]
                results['img'] = adjust(results['img'], rng.uniform(*bounds))
        return results


@TRANSFORMS.register_module()
class Grayscale(BaseTransform):
    """Drop the colour, keeping three channels.

    Args:
        prob: Probability (BYOL: 0.2).
    """

    def __init__(self, prob: float = 0.2):
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if results['rng'].random() < self.prob:
            results['img'] = cv2.cvtColor(cv2.cvtColor(results['img'], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return results


@TRANSFORMS.register_module()
class GaussianBlur(BaseTransform):
    """Blur with a Gaussian of random width.

    Args:
        prob: Probability (BYOL: 1.0 on the first view, 0.1 on the others).
        sigma: Range of the standard deviation, in pixels of the view (BYOL: 0.1 to 2).
    """

    def __init__(self, prob: float, sigma: tuple[float, float] = (0.1, 2.0)):
        self.prob = prob
        self.sigma = sigma

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        if rng.random() < self.prob:
            results['img'] = cv2.GaussianBlur(results['img'], (0, 0), rng.uniform(*self.sigma))
        return results


@TRANSFORMS.register_module()
class Solarize(BaseTransform):
    """Invert all values from ``threshold`` on.

    Args:
        prob: Probability (BYOL: 0.2 on all views but the first).
        threshold: 0 to 255 (BYOL: 128).
    """

    def __init__(self, prob: float = 0.2, threshold: int = 128):
        self.prob = prob
        self.levels = np.where(_LEVELS < threshold, _LEVELS, 255 - _LEVELS)

    def transform(self, results: dict) -> dict:
        if results['rng'].random() < self.prob:
            results['img'] = _lookup(results['img'], self.levels)
        return results
