"""An image with something to see at every scale."""

import cv2
import numpy as np


def textured(height, width):
    """A colourful image with detail at every scale and few clipped values."""
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 128, np.float32)
    for cells, strength in ((4, 110), (16, 50), (64, 30)):
        noise = rng.random((cells, cells, 3), dtype=np.float32) - 0.5
        image += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
