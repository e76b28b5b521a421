"""Boxes on images, and images on sheets."""

import os
from collections.abc import Sequence

import cv2
import numpy as np

from mmsoco.files import atomic_path

#: Colours that stay apart for the colour-blind (Okabe and Ito 2008), RGB.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)


def draw_boxes(
    image: np.ndarray, boxes: np.ndarray, colors: Sequence[tuple[int, int, int]], thickness: int = 1, zoom: int = 1
) -> np.ndarray:
    """A copy of an image with boxes on it.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) xyxy in pixels.
        colors: RGB, used in turn: box i has ``colors[i % len(colors)]``.
        zoom: Enlarge by this factor first.

    Returns:
        (H * zoom, W * zoom, 3) uint8.
    """
    canvas = cv2.resize(np.ascontiguousarray(image), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    height, width = canvas.shape[:2]
    for i, box in enumerate(boxes):
        x1, y1, x2, y2 = np.rint(np.asarray(box, float) * zoom).astype(int)
        corner = min(x2, width - 1), min(y2, height - 1)
        cv2.rectangle(canvas, (max(x1, 0), max(y1, 0)), corner, colors[i % len(colors)], thickness)
    return canvas


def contact_sheet(images: Sequence[np.ndarray], columns: int, gap: int = 6) -> np.ndarray:
    """Images in rows on white, each at the top left of a cell as large as the largest."""
    height = max(image.shape[0] for image in images) + gap
    width = max(image.shape[1] for image in images) + gap
    rows = -(-len(images) // columns)
    sheet = np.full((rows * height + gap, columns * width + gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = gap + i // columns * height, gap + i % columns * width
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    return sheet


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an RGB image; the format follows the ending of the name."""
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
            raise OSError(f'OpenCV could not write {path}')
