"""BYOL's colour augmentations on uint8 arrays, with OpenCV, and their counterparts for other channels than RGB.

Of RGB, the results are those of torchvision's PIL transforms, up to rounding; the draws
come from ``results['rng']`` instead of global generators.
"""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.errors import UserError
from mmsoco.registry import TRANSFORMS

#: Weights of ITU-R 601 luma, as Pillow and OpenCV use.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEVELS = np.arange(256, dtype=np.float32)


def _lookup(img: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """New values of an (H, W, C) image: ``levels``, (256,) for all channels or (256, C), are those of 0 to 255."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    # Of one channel, OpenCV drops the axis.
    return cv2.LUT(img, table if table.ndim == 1 else table[None]).reshape(img.shape)


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


def _bounds(strength: float) -> tuple[float, float]:
    """What the factor of a change is drawn from, as torchvision has it."""
    return max(0.0, 1 - strength), 1 + strength


def _require_rgb(img: np.ndarray, step: BaseTransform, instead: str) -> None:
    if img.shape[2] != 3:
        raise UserError(
            f'{type(step).__name__} is for RGB, and the images have {img.shape[2]} channels; {instead} '
            '(configs/channels has such pipelines)'
        )


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue of RGB, in random order.

    For other channels there is :class:`ChannelJitter`.

    Args:
        prob: Probability of any change (BYOL: 0.8).
        brightness, contrast, saturation: The factors are drawn from
            U(max(0, 1 - value), 1 + value) (BYOL: 0.4, 0.4, 0.2).
        hue: The turn is drawn from U(-hue, hue) (BYOL: 0.1).

    Raises:
        UserError: An image has other than three channels.
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
        factor = [_bounds(value) for value in (brightness, contrast, saturation)]
        self.steps = list(
            zip(
                (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue),
                (*factor, (-hue, hue)),
                strict=True,
            )
        )

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        _require_rgb(results['img'], self, "take its counterpart, dict(type='ChannelJitter')")
        if rng.random() < self.prob:
            for i in rng.permutation(len(self.steps)):
                adjust, bounds = self.steps[i]
                results['img'] = adjust(results['img'], rng.uniform(*bounds))
        return results


@TRANSFORMS.register_module()
class ChannelJitter(BaseTransform):
    """Change brightness and contrast of each channel on its own, in random order: for other channels than RGB.

    Bands of a satellite, a thermal or a medical image have no hue, no saturation and no grey: these are
    properties of the eye's three colours. What changes between two recordings of one thing is the
    illumination, the gain and the offset of each band; so each has factors of its own.

    Args:
        prob: Probability of any change (BYOL: 0.8).
        brightness: Each channel is multiplied by a factor drawn from U(max(0, 1 - value), 1 + value) (BYOL: 0.4).
        contrast: Each channel's distance from its mean over the view is multiplied by another such
            factor (BYOL: 0.4).

    Keys: ``img`` (H, W, C) uint8; ``rng``.
    """

    def __init__(self, prob: float = 0.8, brightness: float = 0.4, contrast: float = 0.4):
        self.prob = prob
        self.steps = [(self._brighten, _bounds(brightness)), (self._contrast, _bounds(contrast))]

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        if rng.random() < self.prob:
            for i in rng.permutation(len(self.steps)):
                adjust, bounds = self.steps[i]
                results['img'] = adjust(results['img'], rng.uniform(*bounds, results['img'].shape[2]))
        return results

    @staticmethod
    def _brighten(img: np.ndarray, factors: np.ndarray) -> np.ndarray:
        return _lookup(img, _LEVELS[:, None] * factors)

    @staticmethod
    def _contrast(img: np.ndarray, factors: np.ndarray) -> np.ndarray:
        means = np.rint(img.mean(axis=(0, 1)))
        return _lookup(img, means + (_LEVELS[:, None] - means) * factors)


@TRANSFORMS.register_module()
class Grayscale(BaseTransform):
    """Drop the colour of RGB, keeping three channels.

    Other channels have no counterpart of it: a mean of bands is no band.

    Args:
        prob: Probability (BYOL: 0.2).

    Raises:
        UserError: An image has other than three channels.
    """

    def __init__(self, prob: float = 0.2):
        self.prob = prob

    def transform(self, results: dict) -> dict:
        _require_rgb(results['img'], self, 'leave it out')
        if results['rng'].random() < self.prob:
            results['img'] = cv2.cvtColor(cv2.cvtColor(results['img'], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return results


@TRANSFORMS.register_module()
class GaussianBlur(BaseTransform):
    """Blur all channels with a Gaussian of random width.

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
            img = results['img']
            # Of one channel, OpenCV drops the axis.
            results['img'] = cv2.GaussianBlur(img, (0, 0), rng.uniform(*self.sigma)).reshape(img.shape)
        return results


@TRANSFORMS.register_module()
class Solarize(BaseTransform):
    """Invert all values from ``threshold`` on, of whatever channels.

    It mixes none of them, so that it is no matter of colour: a view that keeps the shapes and not the order of
    values. Where that order is what tells things apart, as in thermal images, leave it out.

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
