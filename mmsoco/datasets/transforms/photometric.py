"""BYOL's colour augmentations on uint8 arrays, with OpenCV, and their counterparts for other channels than RGB.

Of RGB, the results are those of torchvision's PIL transforms, up to rounding; the draws
come from ``results['rng']`` instead of global generators.

Drawing and changing pixels are apart: what is drawn may be handed on, and the pixels be changed for a whole batch
on the device. :mod:`mmsoco.models.photometry` has the same arithmetic there.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.errors import UserError
from mmsoco.registry import TRANSFORMS

#: Weights of ITU-R 601 luma, as Pillow and OpenCV use.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEVELS = np.arange(256, dtype=np.float32)
_SAME = np.eye(3, dtype=np.float32)
#: In the place of a change's number: none was drawn.
NOTHING = -1


def _lookup(img: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """New values of an (H, W, C) image: ``levels``, (256,) for all channels or (256, C), are those of 0 to 255."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    # Of one channel, OpenCV drops the axis.
    return cv2.LUT(img, table if table.ndim == 1 else table[None]).reshape(img.shape)


def _in_1024ths(factor: float) -> float:
    """A factor as OpenCV's matrices have it; products with levels are then the same to the last bit on any device."""
    return round(float(np.float32(factor)) * 1024) / 1024


def _scale(img: np.ndarray, factor: float, offset: float = 0.0) -> np.ndarray:
    """Multiply and add, rounded and cut to 0 to 255; in less than half of a table's time."""
    return cv2.addWeighted(img, factor, img, 0, offset)


def adjust_brightness(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: 0 gives black, 1 the image."""
    return _scale(img, _in_1024ths(factor))


def adjust_contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean of the grey image: 0 gives flat grey, 1 the image."""
    factor = _in_1024ths(factor)
    mean = np.rint(cv2.mean(cv2.cvtColor(img, cv2.COLOR_RGB2GRAY))[0])
    return _scale(img, factor, mean * (1 - factor))


def adjust_saturation(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image: 0 gives grey, 1 the image."""
    factor = np.float32(_in_1024ths(factor))
    return cv2.transform(img, factor * _SAME + (1 - factor) * _LUMA)


def adjust_hue(img: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by ``shift`` of a full turn, -0.5 to 0.5."""
    hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV_FULL)
    height, width = hsv.shape[:2]
    turn = np.zeros((width, 3), np.uint8)
    turn[:, 0] = round(shift * 256) % 256
    # Levels of hue wrap around as uint8 does; whole rows are added, since numpy is slow at every third value.
    rows = hsv.reshape(height, -1)
    rows += turn.reshape(-1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def gaussian_radius(sigma: float) -> int:
    """Pixels to each side that OpenCV blurs 8-bit images over, some three deviations."""
    return (round(6 * sigma + 1) | 1) // 2


def gaussian_weights(sigma: float, radius: int) -> np.ndarray:
    """Weights of pixels 0, 1, ... ``radius`` away, in 256ths: what OpenCV makes of a Gaussian for 8-bit images.

    A weight's rounding goes into its neighbour's, from the outside in, so that all together are 1.
    """
    reach = gaussian_radius(sigma)
    exact = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(reach + 1)]
    scale = 256 / (2 * sum(exact) - 1)
    weights = [0] * (radius + 1)
    left = 0.0
    for i in range(reach, 0, -1):
        wanted = exact[i] * scale
        weights[i] = round(wanted + left)
        left += wanted - weights[i]
    weights[0] = 256 - 2 * sum(weights)
    return np.array(weights) / 256


def _bounds(strength: float) -> tuple[float, float]:
    """What the factor of a change is drawn from, as torchvision has it."""
    return max(0.0, 1 - strength), 1 + strength


class PhotometricTransform(BaseTransform):
    """A change of pixels that stay where they are, drawn first and made then.

    Keys: ``img`` (H, W, C) uint8; ``rng``.
    """

    def draw(self, rng: np.random.Generator, channels: int) -> np.ndarray:
        """What is to be done to a view, as an array whose shape no draw changes; also where nothing is."""
        raise NotImplementedError

    def apply(self, img: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Do to an (H, W, C) uint8 image what was drawn."""
        raise NotImplementedError

    def transform(self, results: dict) -> dict:
        drawn = self.draw(results['rng'], results['img'].shape[2])
        results['img'] = self.apply(results['img'], drawn)
        return results

    def _require_rgb(self, channels: int, instead: str) -> None:
        if channels != 3:
            raise UserError(
                f'{type(self).__name__} is for RGB, and the images have {channels} channels; {instead} '
                '(the configs of mmsoco::channels have such pipelines)'
            )


@TRANSFORMS.register_module()
class ColorJitter(PhotometricTransform):
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

    def draw(self, rng: np.random.Generator, channels: int) -> np.ndarray:
        """(4, 2): in their order, the number of each change and its factor."""
        self._require_rgb(channels, "take its counterpart, dict(type='ChannelJitter')")
        if rng.random() >= self.prob:
            return np.full((len(self.steps), 2), float(NOTHING))
        order = rng.permutation(len(self.steps)).tolist()
        return np.array([(number, rng.uniform(*self.steps[number][1])) for number in order])

    def apply(self, img: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        for number, factor in drawn.tolist():
            if number != NOTHING:
                img = self.steps[int(number)][0](img, factor)
        return img


@TRANSFORMS.register_module()
class ChannelJitter(PhotometricTransform):
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

    def draw(self, rng: np.random.Generator, channels: int) -> np.ndarray:
        """(2, 1 + C): in their order, the number of each change and its factors."""
        drawn = np.full((len(self.steps), 1 + channels), float(NOTHING))
        if rng.random() < self.prob:
            drawn[:, 0] = rng.permutation(len(self.steps))
            for row in drawn:
                row[1:] = rng.uniform(*self.steps[int(row[0])][1], channels)
        return drawn

    def apply(self, img: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        for number, *factors in drawn:
            if number != NOTHING:
                img = self.steps[int(number)][0](img, np.array(factors))
        return img

    @staticmethod
    def _brighten(img: np.ndarray, factors: np.ndarray) -> np.ndarray:
        return _lookup(img, _LEVELS[:, None] * factors)

    @staticmethod
    def _contrast(img: np.ndarray, factors: np.ndarray) -> np.ndarray:
        count = img.shape[0] * img.shape[1]
        means = np.rint(cv2.reduce(img.reshape(count, -1), 0, cv2.REDUCE_SUM, dtype=cv2.CV_64F)[0] / count)
        return _lookup(img, means + (_LEVELS[:, None] - means) * factors)


@TRANSFORMS.register_module()
class Grayscale(PhotometricTransform):
    """Drop the colour of RGB, keeping three channels.

    Other channels have no counterpart of it: a mean of bands is no band.

    Args:
        prob: Probability (BYOL: 0.2).

    Raises:
        UserError: An image has other than three channels.
    """

    def __init__(self, prob: float = 0.2):
        self.prob = prob

    def draw(self, rng: np.random.Generator, channels: int) -> np.ndarray:
        """(1,): 1 for grey, 0 for none."""
        self._require_rgb(channels, 'leave it out')
        return np.array([float(rng.random() < self.prob)])

    def apply(self, img: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) if drawn[0] else img


@TRANSFORMS.register_module()
class GaussianBlur(PhotometricTransform):
    """Blur all channels with a Gaussian of random width.

    Args:
        prob: Probability (BYOL: 1.0 on the first view, 0.1 on the others).
        sigma: Range of the standard deviation, in pixels of the view (BYOL: 0.1 to 2).
    """

    def __init__(self, prob: float, sigma: tuple[float, float] = (0.1, 2.0)):
        self.prob = prob
        self.sigma = sigma
        # Those of all draws, so that the weights of several views make an array.
        self.radius = gaussian_radius(max(sigma))

    def draw(self, rng: np.random.Generator, channels: int) -> np.ndarray:
        """(R + 1,): the ``gaussian_weights`` of pixels 0 to R away; of no blur, 1 and zeros."""
        if rng.random() < self.prob:
            return gaussian_weights(rng.uniform(*self.sigma), self.radius)
        return np.array([1.0] + [0.0] * self.radius)

    def apply(self, img: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        if drawn[0] == 1:
            return img
        half = drawn[: drawn.nonzero()[0][-1] + 1]
        kernel = np.concatenate([half[:0:-1], half]).astype(np.float32)
        # Faster than GaussianBlur by the same kernel. Of one channel, OpenCV drops the axis.
        return cv2.sepFilter2D(img, -1, kernel, kernel).reshape(img.shape)


@TRANSFORMS.register_module()
class Solarize(PhotometricTransform):
    """Invert all values from ``threshold`` on, of whatever channels.

    It mixes none of them, so that it is no matter of colour: a view that keeps the shapes and not the order of
    values. Where that order is what tells things apart, as in thermal images, leave it out.

    Args:
        prob: Probability (BYOL: 0.2 on all views but the first).
        threshold: 0 to 255 (BYOL: 128).
    """

    def __init__(self, prob: float = 0.2, threshold: int = 128):
        self.prob = prob
        self.threshold = threshold

    def draw(self, rng: np.random.Generator, channels: int) -> np.ndarray:
        """(1,): the threshold; 256, which no value reaches, for none."""
        return np.array([float(self.threshold if rng.random() < self.prob else 256)])

    def apply(self, img: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        if drawn[0] > 255:
            return img
        return _lookup(img, np.where(_LEVELS < drawn[0], _LEVELS, 255 - _LEVELS))


#: What the model's data preprocessor can do, too.
BATCHED = (ColorJitter, ChannelJitter, Grayscale, GaussianBlur, Solarize)


def split_steps(steps: Sequence[BaseTransform]) -> tuple[list[BaseTransform], list[PhotometricTransform]]:
    """The steps that are to be made in the loader, and those after them that can be left to the device.

    Left are the last ones in a row that are :data:`BATCHED`, each kind once. A subclass may do otherwise than its
    base, and stays in the loader with all before it.
    """
    left: list[PhotometricTransform] = []
    for step in reversed(steps):
        if type(step) not in BATCHED or type(step) in map(type, left):
            break
        left.insert(0, step)
    return list(steps[: len(steps) - len(left)]), left
