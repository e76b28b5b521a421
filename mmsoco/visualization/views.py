"""The views of an image with their matched boxes."""

from collections.abc import Mapping

import numpy as np

from mmsoco.images.channels import to_triple
from mmsoco.visualization.drawing import PALETTE, contact_sheet, draw_boxes


def draw_matched_views(
    views: Mapping[str, np.ndarray],
    boxes: Mapping[str, Mapping[str, np.ndarray]],
    zoom: int = 1,
    triple: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """One row a set of boxes: its views side by side, matching boxes in matching colours.

    Args:
        views: View name -> (H, W, C) uint8; of other than three channels as
            :func:`~mmsoco.images.channels.to_triple` shows them.
        boxes: View name -> box set -> (K, 4) xyxy in view pixels.
        zoom: Enlarge by this factor.
        triple: The channels that are shown as red, green and blue, counted from 1.
    """
    shown = {name: to_triple(view, triple) for name, view in views.items()}
    box_sets = dict.fromkeys(name for sets in boxes.values() for name in sets)
    rows = [[view for view, sets in boxes.items() if name in sets] for name in box_sets]
    columns = max(map(len, rows))
    blank = np.full((1, 1, 3), 255, np.uint8)
    cells = []
    for name, members in zip(box_sets, rows, strict=True):
        row = [draw_boxes(shown[view], boxes[view][name], PALETTE, thickness=2, zoom=zoom) for view in members]
        cells += row + [blank] * (columns - len(row))
    return contact_sheet(cells, columns)
