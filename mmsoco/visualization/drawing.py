"""Boxes on pictures, and pictures on sheets."""

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
    picture: np.ndarray, boxes: np.ndarray, colors: Sequence[tuple[int, int, int]], thickness: int = 1, zoom: int = 1
) -> np.ndarray:
    """A copy of a picture with boxes on it.

    Args:
        picture: (H, W, 3) uint8 RGB.
        boxes: (N, 4) xyxy in pixels.
        colors: RGB, used in turn: box i has ``colors[i % len(colors)]``.
        zoom: Enlarge by this factor first.

    Returns:
        (H * zoom, W * zoom, 3) uint8.
    """
    canvas = cv2.resize(np.ascontiguousarray(picture), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    height, width = canvas.shape[:2]
    for i, box in enumerate(boxes):
        x1, y1, x2, y2 = np.rint(np.asarray(box, float) * zoom).astype(int)
        corner = min(x2, width - 1), min(y2, height - 1)
        cv2.rectangle(canvas, (max(x1, 0), max(y1, 0)), corner, colors[i % len(colors)], thickness)
    return canvas


def contact_sheet(pictures: Sequence[np.ndarray], columns: int, gap: int = 6) -> np.ndarray:
    """Pictures in rows on white, each at the top left of a cell as large as the largest."""
    height = max(picture.shape[0] for picture in pictures) + gap
    width = max(picture.shape[1] for picture in pictures) + gap
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height + gap, columns * width + gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = gap + i // columns * height, gap + i % columns * width
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return sheet


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write an RGB picture; the format follows the ending of the name."""
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise OSError(f'OpenCV could not write {path}')
