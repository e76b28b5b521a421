"""Selective search as OpenCV has it from end to end, to compare with."""

import cv2
import numpy as np

from mmsoco.boxes import xywh_to_xyxy
from mmsoco.proposals.generators.selective_search import SearchParameters, portable_arithmetic


@portable_arithmetic()
def opencv_search(image, parameters=SearchParameters()):
    """(N, 4) sorted xyxy boxes of an RGB image; OpenCV's modes keep its own min_size, 100."""
    segmentation = cv2.ximgproc.segmentation
    search = segmentation.createSelectiveSearchSegmentation()
    if parameters.mode == 'single':
        search.addImage(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
        search.addGraphSegmentation(
            segmentation.createGraphSegmentation(parameters.sigma, parameters.k, parameters.min_size)
        )
        measures = (
            getattr(segmentation, f'createSelectiveSearchSegmentationStrategy{name}')()
            for name in ('Color', 'Fill', 'Texture', 'Size')
        )
        search.addStrategy(segmentation.createSelectiveSearchSegmentationStrategyMultiple(*measures))
    else:
        search.setBaseImage(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        name = 'Fast' if parameters.mode == 'fast' else 'Quality'
        getattr(search, f'switchToSelectiveSearch{name}')(parameters.k, parameters.k, parameters.sigma)
    found = np.asarray(search.process(), np.int32).reshape(-1, 4)
    return np.unique(xywh_to_xyxy(found), axis=0)
