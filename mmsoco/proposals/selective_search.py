"""Selective search (Uijlings et al. 2013) with OpenCV."""

import sys
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from mmsoco.errors import UserError

MODES = ('single', 'fast', 'quality')


@dataclass(frozen=True)
class SearchParameters:
    """Parameters of the search; the defaults are the paper's (appendix A.1).

    Args:
        mode: ``single`` is one segmentation in HSV and one grouping by colour,
            fill, texture and size together; ``fast`` and ``quality`` are
            OpenCV's sets of several.
        k: Segmentation scale: larger means larger segments.
        sigma: Gaussian smoothing before the segmentation, in pixels.
        min_size: Smallest segment, in pixels. ``fast`` and ``quality`` keep
            OpenCV's own value (100).
    """

    mode: str = 'single'
    k: int = 300
    sigma: float = 0.9
    min_size: int = 100

    def __post_init__(self):
        if self.mode not in MODES:
            raise UserError(f"mode '{self.mode}' is unknown; choose one of {', '.join(MODES)}")

    def describe(self) -> dict:
        """For the header of a proposal file.

        Raises:
            UserError: This OpenCV has no selective search.
        """
        require_selective_search()
        return {'name': 'selective_search', **asdict(self), 'opencv': cv2.__version__}

    def propose(self, picture: np.ndarray, file_name: str) -> np.ndarray:
        """:func:`selective_search` with these parameters; the name plays no part."""
        return selective_search(picture, self)


def require_selective_search() -> None:
    """Raise a :class:`UserError` that says what to run when OpenCV lacks selective search."""
    # cv2.ximgproc alone proves nothing: it survives when another opencv package
    # has written over the contrib one.
    try:
        _ = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation
    except AttributeError:
        raise UserError(
            'this cv2 has no selective search, another opencv package has overwritten it; run: '
            f'{sys.executable} -m pip install --force-reinstall --no-deps opencv-contrib-python==4.12.0.88'
        ) from None


def selective_search(picture: np.ndarray, parameters: SearchParameters = SearchParameters()) -> np.ndarray:
    """Propose boxes for one picture.

    Args:
        picture: (H, W, 3) uint8 RGB.

    Returns:
        (N, 4) int32 boxes, xyxy in pixels, without duplicates and sorted, so
        that the result does not depend on the order in which OpenCV groups.
        N is at least 1: where nothing is found, the whole picture is the box.
    """
    segmentation = cv2.ximgproc.segmentation
    search = segmentation.createSelectiveSearchSegmentation()
    if parameters.mode == 'single':
        graph = segmentation.createGraphSegmentation(parameters.sigma, parameters.k, parameters.min_size)
        strategy = segmentation.createSelectiveSearchSegmentationStrategyMultiple(
            segmentation.createSelectiveSearchSegmentationStrategyColor(),
            segmentation.createSelectiveSearchSegmentationStrategyFill(),
            segmentation.createSelectiveSearchSegmentationStrategyTexture(),
            segmentation.createSelectiveSearchSegmentationStrategySize(),
        )
        search.addImage(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
        search.addGraphSegmentation(graph)
        search.addStrategy(strategy)
    else:
        search.setBaseImage(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        switch = (
            search.switchToSelectiveSearchFast if parameters.mode == 'fast' else search.switchToSelectiveSearchQuality
        )
        switch(base_k=parameters.k, inc_k=parameters.k, sigma=parameters.sigma)
    found = np.asarray(search.process(), np.int32).reshape(-1, 4)
    boxes = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
    boxes = np.unique(boxes[(found[:, 2:] > 0).all(axis=1)], axis=0)
    if len(boxes) == 0:
        height, width = picture.shape[:2]
        boxes = np.array([[0, 0, width, height]], np.int32)
    return boxes
