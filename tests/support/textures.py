"""A picture with something to see at every scale."""

import cv2
import numpy as np


def textured(height, width):
    """A colourful picture with detail at every scale and few clipped values."""
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), 128, np.float32)
    for cells, strength in ((4, 110), (16, 50), (64, 30)):
        noise = rng.random((cells, cells, 3), dtype=np.float32) - 0.5
        picture += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
