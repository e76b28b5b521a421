"""Images for benchmarks that need nothing to be there."""

from pathlib import Path

import numpy as np
from PIL import Image

#: ImageNet's most frequent size.
HEIGHT, WIDTH = 375, 500


def make_photo(rng: np.random.Generator, path: Path) -> None:
    """Write a JPEG with as much detail at each scale as photos have (amplitudes fall with the frequency)."""
    shape = HEIGHT, WIDTH
    y, x = np.meshgrid(np.fft.fftfreq(HEIGHT), np.fft.rfftfreq(WIDTH), indexing='ij')
    falling = 1 / np.maximum(np.hypot(x, y), 1 / WIDTH)
    channels = [np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * falling, shape) for _ in range(3)]
    image = np.stack([common + channels[0] for common in (0, *(0.3 * other for other in channels[1:]))], axis=2)
    image = (128 + 50 * image / image.std()).clip(0, 255).astype(np.uint8)
    Image.fromarray(image).save(path, quality=90)
