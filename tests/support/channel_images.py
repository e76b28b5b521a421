"""Images of other than three channels, with rectangles to find, and what their pixels are when they are read."""

from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

#: Number of channels -> ending, type and largest value of the files that :func:`write_images` makes.
KINDS = {1: ('.png', np.uint8, 255), 4: ('.tif', np.uint16, 4095), 13: ('.tif', np.float32, 1.0)}


def scene(count, number, height=96, width=120):
    """(H, W, C) uint8 with two rectangles, and their boxes, (2, 4) xyxy."""
    rng = np.random.default_rng([count, number])
    image = np.stack([cv2.resize(rng.uniform(20, 110, (3, 3)), (width, height)) for _ in range(count)], axis=2)
    boxes = []
    for x, y in ((6, 8), (62, 36)):
        w, h = rng.integers(38, 50, 2).tolist()
        image[y : y + h, x : x + w] = rng.uniform(130, 255, count)
        boxes.append([x, y, x + w, y + h])
    # Levels 0 and 255 in each, as the values' range is the files' own.
    image[0, 0], image[0, 1] = 0, 255
    return np.rint(image).astype(np.uint8), np.array(boxes)


def write_image(path, pixels):
    """Write (H, W, C) uint8, as the ending's files have it; they are read as they were given."""
    _, dtype, largest = KINDS[pixels.shape[2]]
    values = pixels if dtype == np.uint8 else pixels.astype(np.float64) / 255 * largest
    values = (np.rint(values) if np.issubdtype(dtype, np.integer) else values).astype(dtype)
    if path.suffix == '.png':
        Image.fromarray(values[..., 0]).save(path)
    elif path.suffix == '.tif':
        tifffile.imwrite(path, values, photometric='minisblack', planarconfig='contig')
    else:
        np.save(path, values)


def write_images(root, count, number=8, ending=None):
    """A folder of images of so many channels; returns name -> (pixels, boxes)."""
    Path(root).mkdir(parents=True)
    scenes = {f'{i}{ending or KINDS[count][0]}': scene(count, i) for i in range(number)}
    for name, (pixels, _) in scenes.items():
        write_image(Path(root, name), pixels)
    return scenes
