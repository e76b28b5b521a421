"""Arithmetic of boxes in NumPy; a box is xyxy in pixels unless its name says otherwise."""

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) float64 intersection over union of (A, 4) and (B, 4) xyxy boxes."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = (high - low).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return both / (areas[0][:, None] + areas[1] - both)


def clip_boxes(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """(..., 4) xyxy boxes cut to [0, width] x [0, height]."""
    # Not np.clip, which takes three times as long for few boxes.
    return np.minimum(np.maximum(boxes, 0), np.array([width, height, width, height], boxes.dtype))


def inside(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """(N,) bool: whether (N, 4) xyxy boxes have an area, and lie in [0, width] x [0, height]."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return ((0 <= low) & (low < high) & (high <= [width, height])).all(axis=1)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes by corner and sides to boxes by two corners: x2 is x + w."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes by two corners to boxes by corner and sides: w is x2 - x1."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
