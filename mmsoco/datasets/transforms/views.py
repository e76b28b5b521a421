"""Views of an image and the boxes that match across them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn.functional import interpolate

from mmsoco.boxes import clip_boxes
from mmsoco.datasets.randomness import apply
from mmsoco.datasets.steps import Steps, in_order
from mmsoco.datasets.transforms.photometric import split_steps
from mmsoco.errors import UserError
from mmsoco.registry import TRANSFORMS

IMAGE = 'image'
#: With the mean of 2 x 2 that follows, 1 7 7 1.
_BEFORE_HALVING = np.array([1, 6, 1], np.float32) / 8


class Region(NamedTuple):
    """A rectangle of the decoded image, in its whole pixels."""

    x1: int
    y1: int
    x2: int
    y2: int


class InRegion(NamedTuple):
    """Proposals in pixels of the first view that shows a region, (N, 4) float32, and which survive there, (N,) bool."""

    boxes: np.ndarray
    survive: np.ndarray


@dataclass
class ViewSpec:
    """A view as the config writes it; see :class:`MultiViewProposalPipeline`."""

    name: str
    size: int
    source: str = IMAGE
    crop: dict | None = None
    jitter: dict | None = None
    augment: Steps = field(default_factory=list)


@dataclass
class BoxSet:
    """K proposals that are matched across all pairs of views that show the same regions.

    Attributes:
        regions: What the views show.
        pairs: Those that are compared.
        views: The views of the pairs, each once.
    """

    regions: list[str]
    pairs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def views(self) -> list[str]:
        return list(dict.fromkeys(name for pair in self.pairs for name in pair))


def resample(image: np.ndarray, region: Region, size: int) -> np.ndarray:
    """Cut a region out of an image, (H, W, C) uint8, and resize it to (size, size, C), aspect not kept.

    Bilinear with antialiasing: the result is Pillow's, at a fraction of the time
    (torchvision resizes tensors with the same kernel).
    """
    cut = image[region.y1 : region.y2, region.x1 : region.x2]
    # Not [None]: of one image, torch tells channels_last by the first stride, and would give planes.
    tensor = torch.from_numpy(cut.reshape(1, *cut.shape).transpose(0, 3, 1, 2))
    # Rows first: their sums run along memory, and leave the slower sums across columns fewer rows.
    for shape in ((size, cut.shape[1]), (size, size)):
        tensor = interpolate(tensor, shape, mode='bilinear', antialias=True)
    return tensor.numpy()[0].transpose(1, 2, 0)


def in_decoded(region: Region, full_size: tuple[int, int], image: np.ndarray) -> Region:
    """A region of an image of ``full_size``, (width, height), in the pixels it is decoded at, to half of one."""
    height, width = image.shape[:2]
    if (width, height) == full_size:
        return region
    x, y = width / full_size[0], height / full_size[1]
    return Region(round(region.x1 * x), round(region.y1 * y), round(region.x2 * x), round(region.y2 * y))


def halve(view: np.ndarray) -> np.ndarray:
    """A view, (size, size, C) uint8 of even size, at half its size, as :func:`resample` would make it of the image.

    The weights 1 7 7 1 along each side, of which those of the view itself are a part, have the variance of
    resample's kernel at the smaller size; a mean of 2 x 2 would be sharper, and resample itself more blurred.
    """
    blurred = cv2.sepFilter2D(view, -1, _BEFORE_HALVING, _BEFORE_HALVING, borderType=cv2.BORDER_REPLICATE)
    half = len(view) // 2
    # Of one channel, OpenCV drops the axis.
    return cv2.resize(blurred, (half, half), interpolation=cv2.INTER_AREA).reshape(half, half, view.shape[2])


def map_boxes(boxes: np.ndarray, region: Region, size: int) -> np.ndarray:
    """Boxes of an image, (N, 4), in pixels of a region resized to size x size, cut to it."""
    x1, y1, x2, y2 = region
    origin = np.array([x1, y1, x1, y1], np.float32)
    scale = np.array([size / (x2 - x1), size / (y2 - y1)] * 2, np.float32)
    return clip_boxes((boxes - origin) * scale, size, size)


def repeat(boxes: np.ndarray, count: int) -> np.ndarray:
    """``count`` boxes, at least one, of (N, 4): they, in turn, as often as it takes."""
    return boxes if len(boxes) == count else boxes[np.arange(max(count, 1)) % len(boxes)]


def random_crop(
    rng: np.random.Generator,
    source: Region,
    width: float,
    height: float,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Region:
    """A random part of ``source``, as torchvision's RandomResizedCrop chooses it.

    Args:
        width, height: The sides that the source is shown with; area and ratio
            are meant in these pixels.
        scale: Range of the part's area, as a fraction of the source's.
        ratio: Range of the part's width / height, drawn log-uniformly.
    """
    # Of single numbers, Python's own functions take a tenth of numpy's time.
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(*map(math.log, ratio)))
        w, h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if w <= width and h <= height:
            x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
            break
    else:  # the largest centred part with a ratio in the range
        aspect = min(max(width / height, ratio[0]), ratio[1])
        w, h = min(width, height * aspect), min(height, width / aspect)
        x, y = (width - w) / 2, (height - h) / 2
    # Whole pixels of the image, at least one: boxes then follow the true crop exactly.
    x1, x2 = _whole_pixels(source.x1, source.x2, x / width, (x + w) / width)
    y1, y2 = _whole_pixels(source.y1, source.y2, y / height, (y + h) / height)
    return Region(x1, y1, x2, y2)


def _whole_pixels(low: int, high: int, start: float, end: float) -> tuple[int, int]:
    """The part from ``start`` to ``end``, 0 to 1, of the pixels from ``low`` to ``high``."""
    side = high - low
    first = min(round(start * side), side - 1)
    return low + first, low + max(round(end * side), first + 1)


@TRANSFORMS.register_module()
class MultiViewProposalPipeline(BaseTransform):
    """Make the views of an image, and K matched boxes for each pair (paper, section 3.2).

    The views form a small graph: each is made from the image or from another
    view, by a random crop or by resizing alone. Geometry composes along the
    graph; pixels are resampled once, from the decoded image, or from a view that is
    twice as large (see :func:`~mmsoco.datasets.transforms.views.halve`). A view that only
    resizes another shows the same region of the image.

    Pairs that compare the same regions share a set of boxes: (v1, v2) and (v1,
    v3), v3 a smaller v2, have the same ones, and v1's are the same array in
    both. A set's K boxes are drawn without replacement from those that survive
    in all its regions, that is, keep some area (and ``min_side``) inside. Fewer
    than K are repeated in turn; where none is left the whole view is the box. Row k
    of one view matches row k of the others.

    A crop that leaves fewer than max(K // 2, 1) proposals is drawn again, with
    half that bar after each failure, 5 tries in all.

    Args:
        views: Name -> a dict of what follows, or a list of such dicts with a ``name``:

            - ``source``: ``'image'`` (default) or the name of an earlier view;
            - ``crop``: None, or ``dict(scale=..., ratio=...)``, the ranges of
              area (fraction of the source) and of width / height, both measured
              in the pixels that the source is shown with;
            - ``size``: side of the square view, in pixels;
            - ``jitter``: None, or the config of :class:`BoxJitter`, applied first;
            - ``augment``: configs of transforms of the view and its boxes, in a
              list or a dict. They get ``img`` (size, size, C) uint8, ``boxes``
              (a dict of (N, 4) float32) and ``rng``.
        pairs: Pairs of view names that the loss compares; the model is told by
            the batch.
        num_proposals: K (paper: 4). With 0 the instance is the whole image, the
            baseline of the paper's table 4: each view is its own only box.
        min_side: Sides in view pixels under which a clipped box does not count
            as surviving (paper: none, 0).
        photometry: Where colour, blur and solarisation are done: in the ``'loader'``, or, for a whole batch,
            on the ``'device'``, by the model's data preprocessor. Then they are drawn here, by the same dice, and
            handed on; of each view the last steps that
            :func:`~mmsoco.datasets.transforms.photometric.split_steps` leaves.

    Adds the keys

    - ``views``: name -> (size, size, C) uint8;
    - ``boxes``: view name -> box set -> (K, 4) float32 xyxy in view pixels;
    - ``matches``: box set -> (view name, view name) -> how many of the K boxes differ;
    - ``augment``: view name -> name of a transform, in their order -> what it has drawn, float32; empty where all
      is done in the loader.

    A box set is named after its regions.

    Raises:
        UserError: ``photometry`` is neither of the two.
        ValueError: The graph is not one: unknown or repeated names, or a pair
            whose views meet in more than one set of boxes.
    """

    TRIES = 5
    PHOTOMETRY = ('loader', 'device')

    def __init__(
        self,
        views: Steps,
        pairs: Sequence[tuple[str, str]],
        num_proposals: int = 4,
        min_side: float = 0.0,
        photometry: str = 'loader',
    ):
        if photometry not in self.PHOTOMETRY:
            raise UserError(f"photometry '{photometry}' is unknown; choose one of {', '.join(self.PHOTOMETRY)}")
        if isinstance(views, Mapping):
            views = [{**view, 'name': name} for name, view in views.items() if view is not None]
        self.views = {view['name']: ViewSpec(**view) for view in views}
        if len(self.views) != len(views):
            raise ValueError(f'view names must differ, got {[view["name"] for view in views]}')
        self.num_proposals = num_proposals
        self.min_side = min_side
        self.regions = self._regions()
        # A region is measured in the pixels of the first view that shows it.
        self.region_sizes: dict[str, int] = {}
        for view in self.views.values():
            self.region_sizes.setdefault(self.regions[view.name], view.size)
        self.box_sets = self._box_sets(pairs)
        self.jitters = {view.name: TRANSFORMS.build(view.jitter) for view in self.views.values() if view.jitter}
        self.augments = {
            view.name: [TRANSFORMS.build(step) for step in in_order(view.augment)] for view in self.views.values()
        }
        # View name -> the steps that are drawn here, and left to the device.
        self.left = {name: [] for name in self.views}
        if photometry == 'device':
            for name, steps in self.augments.items():
                self.augments[name], self.left[name] = split_steps(steps)

    @property
    def least_side(self) -> int:
        """Pixels that an image's shorter side must have so that each view has two to choose from for one of its own.

        That is, in each direction, whatever crop is drawn. Regions are cut at whole pixels of a smaller decoded image,
        a quarter of a view's pixel from where they are.
        """
        shares = {IMAGE: 1.0}
        for view in self.views.values():
            share = shares[view.source]
            if view.crop is not None:
                widest = min(*view.crop['ratio'], *(1 / ratio for ratio in view.crop['ratio']))
                # Of the shorter side; or of a crop that takes the place of one that does not fit.
                share *= min(np.sqrt(min(view.crop['scale']) * widest), widest)
            shares[view.name] = share
        return max(int(np.ceil(2 * view.size / shares[view.name])) for view in self.views.values())

    def describe(self) -> dict:
        """The views, the pairs and K, in plain values; goes into checkpoints."""
        return {
            'views': [asdict(view) for view in self.views.values()],
            'pairs': [list(pair) for box_set in self.box_sets.values() for pair in box_set.pairs],
            'num_proposals': self.num_proposals,
            'min_side': self.min_side,
        }

    def _regions(self) -> dict[str, str]:
        """View name -> name of the region it shows: its own if it crops, else its source's."""
        regions = {IMAGE: IMAGE}
        for view in self.views.values():
            if view.name == IMAGE or view.source not in regions:
                raise ValueError(f"source '{view.source}' of view '{view.name}' is not an earlier view")
            regions[view.name] = regions[view.source] if view.crop is None else view.name
        return regions

    def _box_sets(self, pairs: Sequence[tuple[str, str]]) -> dict[str, BoxSet]:
        """The sets of boxes: pairs that compare the same regions share one."""
        box_sets: dict[str, BoxSet] = {}
        order = list(self.regions)
        for pair in map(tuple, pairs):
            unknown = set(pair) - set(self.views)
            if unknown:
                raise ValueError(f"pair {pair} names '{min(unknown)}', which is no view")
            regions = sorted({self.regions[name] for name in pair}, key=order.index)
            box_sets.setdefault('+'.join(regions), BoxSet(regions)).pairs.append(pair)
        for pair in map(tuple, pairs):
            if sum(set(pair) <= set(box_set.views) for box_set in box_sets.values()) > 1:
                raise ValueError(f'the views of pair {pair} meet in more than one set of boxes')
        return box_sets

    def transform(self, results: dict) -> dict:
        image, proposals, rng = results['img'], results['proposals'], results['rng']
        full_size = results.get('full_size', image.shape[1::-1])
        regions, placed = self._place(*full_size, proposals, rng)
        decoded = {name: in_decoded(region, full_size, image) for name, region in regions.items()}
        boxes, results['matches'] = self._match(regions, placed, proposals, rng)
        results['views'], results['boxes'], results['augment'] = {}, {}, {}
        # All before any is augmented: one may be made of another's pixels, which a transform may change in place.
        shown: dict[str, np.ndarray] = {}
        for name in self.views:
            shown[name] = self._show(name, image, decoded, shown)
        for name in self.views:
            # A whole view that stands in for no proposal stays whole.
            whole = [box_set for box_set in boxes[name] if not any(results['matches'][box_set].values())]
            view = {'boxes': boxes[name], 'rng': rng, 'watched': results.get('watched', False)}
            view['img'] = shown[name]
            results['views'][name], results['boxes'][name] = self._render(name, view, whole)
            if self.left[name]:
                results['augment'][name] = self._draw(name, view)
        return results

    def _place(
        self, width: int, height: int, proposals: np.ndarray, rng: np.random.Generator
    ) -> tuple[dict[str, Region], dict[str, InRegion]]:
        """Choose all regions of an image, and put the proposals there."""
        regions = {IMAGE: Region(0, 0, width, height)}
        placed = {}
        if IMAGE in self.region_sizes:
            placed[IMAGE] = self._in_region(proposals, regions[IMAGE], IMAGE)
        for view in self.views.values():
            if view.crop is None:
                continue
            source = regions[self.regions[view.source]]
            shown = (width, height) if view.source == IMAGE else (self.views[view.source].size,) * 2
            # Those that survive in the other regions of the view's sets of boxes.
            partners = [
                placed[region].survive
                for box_set in self.box_sets.values()
                if view.name in box_set.regions
                for region in box_set.regions
                if region in placed
            ]
            bar = max(self.num_proposals // 2, min(self.num_proposals, 1))
            for _ in range(self.TRIES):
                region = random_crop(rng, source, *shown, **view.crop)
                found = self._in_region(proposals, region, view.name)
                if np.count_nonzero(reduce(np.logical_and, partners, found.survive)) >= bar:
                    break
                bar /= 2
            regions[view.name], placed[view.name] = region, found
        return regions, placed

    def _in_region(self, proposals: np.ndarray, region: Region, name: str) -> InRegion:
        boxes = map_boxes(proposals, region, self.region_sizes[name])
        x1, y1, x2, y2 = boxes.T
        sides = np.minimum(x2 - x1, y2 - y1)
        return InRegion(boxes, (sides > 0) & (sides >= self.min_side))

    def _match(
        self,
        regions: dict[str, Region],
        placed: dict[str, InRegion],
        proposals: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[tuple[str, str], int]]]:
        """Draw up to K proposals for each set of boxes: where they are in its views, and how many they are.

        Where there is none, the box is the whole view.
        """
        boxes: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.views}
        matches = {}
        for name, box_set in self.box_sets.items():
            alive = reduce(np.logical_and, [placed[region].survive for region in box_set.regions]).nonzero()[0]
            chosen = rng.choice(alive, min(len(alive), self.num_proposals), replace=False)
            matches[name] = dict.fromkeys(box_set.pairs, len(chosen))
            for view in box_set.views:
                region, size = self.regions[view], self.views[view].size
                if not len(chosen):
                    boxes[view][name] = np.array([[0, 0, size, size]], np.float32)
                elif size == self.region_sizes[region]:
                    boxes[view][name] = placed[region].boxes[chosen]
                else:
                    boxes[view][name] = map_boxes(proposals[chosen], regions[region], size)
        return boxes, matches

    def _show(
        self, name: str, image: np.ndarray, regions: dict[str, Region], shown: dict[str, np.ndarray]
    ) -> np.ndarray:
        """The pixels of a view, not augmented yet; ``shown`` has those of earlier views."""
        view, region = self.views[name], regions[self.regions[name]]
        is_half = view.crop is None and view.source != IMAGE and self.views[view.source].size == 2 * view.size
        # Of what was enlarged, the half would lack what the image has.
        if is_half and min(region.x2 - region.x1, region.y2 - region.y1) >= 2 * view.size:
            return halve(shown[view.source])
        return resample(image, region, view.size)

    def _draw(self, name: str, view: dict) -> dict[str, np.ndarray]:
        """What the steps that are left to the device draw for a view."""
        channels = view['img'].shape[2]
        return {type(step).__name__: step.draw(view['rng'], channels).astype(np.float32) for step in self.left[name]}

    def _render(self, name: str, view: dict, whole: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Jitter and augment a view: its pixels, and its K boxes in each set that it belongs to.

        Args:
            view: What the transforms are given.
            whole: Sets whose box is the whole view, which is not jittered.
        """
        watched = view['watched']
        if name in self.jitters:
            drawn = {box_set: rows for box_set, rows in view['boxes'].items() if box_set not in whole}
            view['boxes'] |= apply(self.jitters[name], {**view, 'boxes': drawn}, watched)['boxes']
        for step in self.augments[name]:
            view = apply(step, view, watched)
        # Repeated after all changes: copies of a proposal stay identical.
        return view['img'], {box_set: repeat(rows, self.num_proposals) for box_set, rows in view['boxes'].items()}
