"""From the channels that a file has to those that are asked for, and to three that can be shown."""

import cv2
import numpy as np

#: Pixels of which principal components are computed.
_SAMPLED = 100_000


class OtherChannels(ValueError):
    """A file has not the channels that are asked for."""


def as_channels(image: np.ndarray, channels: int, has_alpha: bool = False) -> np.ndarray:
    """(H, W, C) of any C to (H, W, ``channels``).

    Args:
        image: Grey, RGB, or channels of any kind.
        channels: See :class:`~mmsoco.images.reading.Reading`.
        has_alpha: Whether the last channel is transparency.

    Raises:
        OtherChannels: It has others.
    """
    count = image.shape[2]
    if count == channels:
        return image
    if channels in (1, 3):
        # A fourth channel beside RGB, and a second beside grey, is alpha more often than not.
        if count in (2, 4) or has_alpha:
            image, count = image[..., : count - 1], count - 1
        if count == channels:
            return image
        if (count, channels) == (1, 3):
            return np.repeat(image, 3, axis=2)
        if (count, channels) == (3, 1):
            return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]
    raise OtherChannels(
        f'has {image.shape[2]} channels where {channels} are asked for (--channels of the search, channels= of the '
        'data set)'
    )


def to_triple(image: np.ndarray, triple: tuple[int, int, int] | None = None) -> np.ndarray:
    """Three channels of an image, for the search and for drawings.

    Args:
        image: (H, W, C) uint8.
        triple: Which, counted from 1. None: all of three channels, one channel three times; of others the
            principal components, each stretched from its 2nd to its 98th percentile.

    Returns:
        (H, W, 3) uint8.
    """
    count = image.shape[2]
    if triple is not None:
        return np.ascontiguousarray(image[..., [number - 1 for number in triple]])
    if count == 3:
        return image
    if count == 1:
        return np.repeat(image, 3, axis=2)
    return principal(image)


def principal(image: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 to its three principal components, (H, W, 3) uint8; the third of two channels is their mean.

    The sign of a component, which is free, is that of its largest weight.
    """
    height, width, count = image.shape
    if count == 2:
        image = np.concatenate([image, np.rint(image.mean(axis=2, keepdims=True)).astype(np.uint8)], axis=2)
        count = 3
    flat = image.reshape(-1, count).astype(np.float64)
    some = flat[:: -(-len(flat) // _SAMPLED)]
    mean = some.mean(axis=0)
    _, weights = np.linalg.eigh((some - mean).T @ (some - mean))
    weights = weights[:, : -4 if count > 3 else None : -1]
    largest = np.abs(weights).argmax(axis=0)
    weights = weights * np.sign(weights[largest, np.arange(3)])
    components = (flat - mean) @ weights
    low, high = np.percentile(components[:: -(-len(flat) // _SAMPLED)], (2, 98), axis=0)
    scaled = (components - low) * (255 / np.where(high > low, high - low, np.inf))
    return np.rint(scaled).clip(0, 255).astype(np.uint8).reshape(height, width, 3)
