"""Hierarchical grouping of segments, the second half of selective search (Uijlings et al. 2013, section 3).

OpenCV has it, too, and these are its boxes. But OpenCV goes through all pixels
once more for each segment's colours, and handles the texture maps one by one.
Here a few passes serve all segments and channels. Values, and the order in which float32 numbers are added,
are OpenCV's, so that the similarities are equal to the last bit. Where two are
equal, OpenCV's choice depends on its sorting; ours is the newer pair.
"""

import heapq
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

#: Similarities of two segments; a strategy is the mean of some of them.
MEASURES = ('color', 'fill', 'texture', 'size')

COLOR_BINS = 25
#: Bins of each of the positive and negative parts of four derivatives.
TEXTURE_BINS = 10


def group(image: np.ndarray, segments: np.ndarray, strategies: Sequence[Sequence[str]]) -> np.ndarray:
    """Merge touching segments, the most similar first, until none touch.

    Args:
        image: (H, W) or (H, W, C) uint8, in the colour space of the strategies.
        segments: (H, W) int32, numbered from 0 without gaps.
        strategies: For each grouping its :data:`MEASURES`, of equal weight.

    Returns:
        (N, 4) int32 boxes, xyxy in pixels: of the segments, then of what each
        strategy merged. There may be duplicates.
    """
    count = int(segments.max()) + 1
    channels = image.reshape(*segments.shape, -1)
    sizes = np.bincount(segments.ravel())
    boxes = _bounding_boxes(segments, count)
    pairs = _touching(segments, count)
    wanted = {measure for strategy in strategies for measure in strategy}
    make = {'color': color_histograms, 'texture': texture_histograms}
    histograms = {name: make[name](channels, segments, count) for name in make if name in wanted}
    groupings = [_Grouping(strategy, sizes, boxes, histograms, pairs) for strategy in strategies]
    return np.concatenate([boxes, *(grouping.merged_boxes() for grouping in groupings)])


class _Grouping:
    """One grouping. A node is a segment or what two nodes became; it lives in the row of its first segment."""

    def __init__(
        self,
        measures: Sequence[str],
        sizes: np.ndarray,
        boxes: np.ndarray,
        histograms: dict[str, np.ndarray],
        pairs: np.ndarray,
    ):
        self._area = np.float32(sizes.sum())
        self._sizes = sizes.copy()
        self._boxes = boxes.copy()
        self._histograms = {name: table.copy() for name, table in histograms.items() if name in measures}
        self._measures = [getattr(self, f'_{measure}') for measure in measures]
        # OpenCV writes a third as 0.3333.
        self._weight = np.float32(0.3333 if len(measures) == 3 else 1 / len(measures))
        self._pairs = pairs

    def merged_boxes(self) -> np.ndarray:
        """(M, 4) int32 boxes of the nodes that merging makes, in turn."""
        rows = list(range(len(self._sizes)))
        neighbours: dict[int, set[int]] = {node: set() for node in rows}
        for a, b in self._pairs.tolist():
            neighbours[a].add(b)
            neighbours[b].add(a)
        similarities = self._similarity(*self._pairs.T).tolist()
        # Most similar first, then newest.
        queue = [(-s, -i, a, b) for i, (s, (a, b)) in enumerate(zip(similarities, self._pairs.tolist(), strict=True))]
        heapq.heapify(queue)
        age = len(queue)
        found = []
        while queue:
            _, _, a, b = heapq.heappop(queue)
            if a not in neighbours or b not in neighbours:
                continue
            row, node = rows[a], len(rows)
            self._merge(row, rows[b])
            found.append(self._boxes[row].copy())
            rows.append(row)
            others = sorted((neighbours.pop(a) | neighbours.pop(b)) - {a, b})
            neighbours[node] = set(others)
            for other in others:
                neighbours[other] -= {a, b}
                neighbours[other].add(node)
            if others:
                for s, other in zip(self._similarity(row, [rows[o] for o in others]).tolist(), others, strict=True):
                    heapq.heappush(queue, (-s, -age, node, other))
                    age += 1
        return np.array(found, np.int32).reshape(-1, 4)

    def _merge(self, a: int, b: int) -> None:
        """Make row ``a`` that of both; row ``b`` is not used again."""
        sizes, boxes = self._sizes, self._boxes
        size_a, size_b, size = np.array([sizes[a], sizes[b], sizes[a] + sizes[b]], np.float32)
        for table in self._histograms.values():
            table[a] = (table[a] * size_a + table[b] * size_b) / size
        sizes[a] += sizes[b]
        boxes[a, :2] = np.minimum(boxes[a, :2], boxes[b, :2])
        boxes[a, 2:] = np.maximum(boxes[a, 2:], boxes[b, 2:])

    def _similarity(self, a: int | np.ndarray, b: np.ndarray | list[int]) -> np.ndarray:
        """(P,) similarities of rows ``a`` and ``b``."""
        total = sum((self._weight * measure(a, b) for measure in self._measures), np.float32(0))
        return total / sum([self._weight] * len(self._measures), np.float32(0))

    def _color(self, a, b) -> np.ndarray:
        return self._overlap('color', a, b)

    def _texture(self, a, b) -> np.ndarray:
        return self._overlap('texture', a, b)

    def _overlap(self, name: str, a, b) -> np.ndarray:
        table = self._histograms[name]
        # Not sum(), which adds in another order.
        return np.minimum(table[a], table[b]).cumsum(axis=1)[:, -1]

    def _size(self, a, b) -> np.ndarray:
        return self._small(self._sizes[a] + self._sizes[b])

    def _fill(self, a, b) -> np.ndarray:
        low = np.minimum(self._boxes[a, :2], self._boxes[b, :2])
        sides = np.maximum(self._boxes[a, 2:], self._boxes[b, 2:]) - low
        return self._small(sides[:, 0] * sides[:, 1] - self._sizes[a] - self._sizes[b])

    def _small(self, pixels: np.ndarray) -> np.ndarray:
        return np.float32(1) - pixels.astype(np.float32) / self._area


def _bounding_boxes(segments: np.ndarray, count: int) -> np.ndarray:
    """(count, 4) int32 xyxy boxes of segments."""
    height, width = segments.shape
    starts = np.ones((height, width), bool)
    np.not_equal(segments[:, 1:], segments[:, :-1], out=starts[:, 1:])
    # Runs of equal numbers along the rows.
    begin = np.flatnonzero(starts)
    end = np.append(begin[1:], segments.size)
    labels = segments.ravel()[begin]
    y, x = np.divmod(begin, width)
    boxes = np.empty((count, 4), np.int32)
    boxes[:, :2], boxes[:, 2:] = segments.size, 0
    for column, extreme, values in (
        (0, np.minimum, x),
        (1, np.minimum, y),
        (2, np.maximum, x + end - begin),
        (3, np.maximum, y + 1),
    ):
        extreme.at(boxes[:, column], labels, values.astype(np.int32))
    return boxes


def _touching(segments: np.ndarray, count: int) -> np.ndarray:
    """(P, 2) pairs of touching segments, the smaller number first, sorted.

    As OpenCV has it: left, above and above left, the image's first row and
    column aside.
    """
    here = segments[1:, 1:]
    codes = []
    for other in (segments[1:, :-1], segments[:-1, 1:], segments[:-1, :-1]):
        differ = here != other
        a, b = here[differ].astype(np.int64), other[differ].astype(np.int64)
        codes.append(np.minimum(a, b) * count + np.maximum(a, b))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), count), axis=1)


def color_histograms(image: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    """(count, C * 25) float32: how often a segment has each colour, of sum 1."""
    bins = (np.arange(256) * COLOR_BINS // 256).astype(np.uint8)
    first = segments.astype(np.int64) * COLOR_BINS
    counts = [_count(first, cv2.LUT(plane, bins), count, COLOR_BINS) for plane in cv2.split(image)]
    table = np.concatenate(counts, axis=1).astype(np.float32)
    return table / table.cumsum(axis=1)[:, -1:]


def texture_histograms(image: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    """(count, C * 80) float32: how strong a segment's derivatives are, of sum 1."""
    bins = (np.arange(256, dtype=np.float32) / np.float32(256 / TEXTURE_BINS)).astype(np.uint8)
    first = segments.astype(np.int64) * TEXTURE_BINS**2
    counts: list[list[np.ndarray]] = [[] for _ in cv2.split(image)]
    for derivative in _derivatives(image):
        for tables, plane in zip(counts, cv2.split(derivative), strict=True):
            positive, negative = (
                cv2.normalize(cv2.threshold(plane, 0, 0, part)[1], None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
                for part in (cv2.THRESH_TOZERO, cv2.THRESH_TOZERO_INV)
            )
            # Both parts are counted at once.
            codes = cv2.add(cv2.LUT(positive, bins * TEXTURE_BINS), cv2.LUT(negative, bins))
            joint = _count(first, codes, count, TEXTURE_BINS**2).reshape(count, TEXTURE_BINS, TEXTURE_BINS)
            tables += [joint.sum(axis=2), joint.sum(axis=1)]
    table = np.concatenate([table for tables in counts for table in tables], axis=1)
    return table.astype(np.float32) / table.sum(axis=1, keepdims=True).astype(np.float32)


def _count(first: np.ndarray, codes: np.ndarray, count: int, number: int) -> np.ndarray:
    """(count, number): how many pixels of a segment have each code below ``number``; ``first`` is segment * number."""
    return np.bincount((first + codes).ravel(), minlength=count * number).reshape(count, number)


def _derivatives(image: np.ndarray) -> Iterator[np.ndarray]:
    """(H, W, C) float32 derivatives along x and y, then along x and y of the image turned by 45 degrees.

    One by one, as they are large.
    """
    height, width = image.shape[:2]
    center = (width / 2, height / 2)
    corners = cv2.boxPoints((center, (width, height), 45))
    # Two more than the corners span, as OpenCV's RotatedRect has it.
    sides = (np.ceil(corners.max(axis=0)) - np.floor(corners.min(axis=0)) + 1).astype(int)
    turn = cv2.getRotationMatrix2D(center, 45, 1)
    turn[:, 2] += sides / 2 - center
    turned = cv2.warpAffine(image, turn, sides.tolist())
    back = cv2.getRotationMatrix2D((sides // 2).tolist(), -45, 1)
    # A narrow image is longer than its turned copy is wide.
    x, y = (max(0, n) for n in ((sides - (width, height)) // 2).tolist())
    axes = ((1, 0), (0, 1))
    for axis in axes:
        yield cv2.Scharr(image, cv2.CV_32F, *axis)
    for axis in axes:
        # What lies right of the image and below it is not needed.
        yield cv2.warpAffine(cv2.Scharr(turned, cv2.CV_32F, *axis), back, (x + width, y + height))[y:, x:]
