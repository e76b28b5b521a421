"""The views of an image with their matched boxes."""

from collections.abc import Mapping

import numpy as np

from mmsoco.visualization.drawing import PALETTE, contact_sheet, draw_boxes


def draw_matched_views(
    views: Mapping[str, np.ndarray], boxes: Mapping[str, Mapping[str, np.ndarray]], zoom: int = 1
) -> np.ndarray:
    """One row a draw: its views side by side, matching boxes in matching colours.

    Args:
        views: View name -> (H, W, 3) uint8 RGB.
        boxes: Draw -> view name -> (K, 4) xyxy in view pixels.
        zoom: Enlarge by this factor.
    """
    columns = max(len(members) for members in boxes.values())
    blank = np.full((1, 1, 3), 255, np.uint8)
    cells = []
    for members in boxes.values():
        row = [draw_boxes(views[name], members[name], PALETTE, thickness=2, zoom=zoom) for name in members]
        cells += row + [blank] * (columns - len(row))
    return contact_sheet(cells, columns)
