import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from opencv_search import opencv_search

from mmsoco.errors import UserError
from mmsoco.proposals.generators.selective_search import (
    MODES,
    SearchParameters,
    require_selective_search,
    selective_search,
)


def iou(boxes, box):
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    overlap = (high - low).clip(0).prod(axis=1)
    return overlap / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + np.prod(box[2:] - box[:2]) - overlap)


def rectangle_image():
    """(120, 160, 3): one rectangle, and where it is, xyxy."""
    image = np.full((120, 160, 3), (200, 190, 180), np.uint8)
    image[30:90, 40:110] = (40, 80, 200)
    return image, np.array([40, 30, 110, 90])


def textured(seed, height=80, width=100):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize('mode', MODES)
def test_a_rectangle_on_a_plain_background_is_found(mode):
    image, box = rectangle_image()
    assert iou(selective_search(image, SearchParameters(mode)), box).max() > 0.9


@pytest.mark.parametrize('mode', MODES)
def test_boxes_are_unique_sorted_inside_the_image_and_not_empty(mode):
    boxes = selective_search(textured(0), SearchParameters(mode))
    assert boxes.dtype == np.int32
    assert len(boxes) > 10
    rows = boxes.tolist()
    assert rows == sorted(rows)
    assert len(set(map(tuple, rows))) == len(rows)
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= 100).all() and (boxes[:, 3] <= 80).all()
    assert (boxes[:, 2] > 80).any()  # x is not mistaken for y
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.parametrize('mode', MODES)
def test_the_same_image_gives_the_same_boxes(mode):
    first, second = (selective_search(textured(1), SearchParameters(mode)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_parameters_reach_the_search():
    image = textured(2)
    counts = {min_size: len(selective_search(image, SearchParameters(min_size=min_size))) for min_size in (20, 800)}
    assert counts[20] > counts[800]


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('shape', [(1, 1), (1, 60), (60, 1), (2, 300), (300, 2), (3, 3)])
def test_extreme_shapes_give_a_box_inside_the_image(mode, shape):
    height, width = shape
    for image in (
        np.zeros((height, width, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8),
    ):
        boxes = selective_search(image, SearchParameters(mode))
        assert len(boxes) >= 1
        assert (boxes >= 0).all()
        assert (boxes[:, 2:] <= (width, height)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


BOXES_ELSEWHERE = """
import sys

import cv2
import numpy as np

from mmsoco.proposals.generators.selective_search import SearchParameters, selective_search

image = cv2.imread(sys.argv[1], cv2.IMREAD_COLOR_RGB)
np.save(sys.argv[2], selective_search(image, SearchParameters(k=50, min_size=20)))
"""


@pytest.mark.parametrize('seed', [11, 13])
def test_boxes_do_not_depend_on_the_processor(tmp_path, seed):
    """Smooth images, in which the last bit decides."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (240, 180), interpolation=cv2.INTER_CUBIC)
    parameters = SearchParameters(k=50, min_size=20)
    boxes = selective_search(image, parameters)
    assert cv2.useOptimized(), 'the search left its mark on the process'
    if 'AVX2' in cv2.getCPUFeaturesLine():
        # It is such an image.
        assert selective_search.__wrapped__(image, parameters).shape != boxes.shape
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., ::-1])
    subprocess.run(
        [sys.executable, '-c', BOXES_ELSEWHERE, tmp_path / 'a.png', tmp_path / 'boxes.npy'],
        env={**os.environ, 'OPENCV_CPU_DISABLE': 'AVX512-SKX,AVX2,AVX,FP16,SSE4.2,SSE4.1'},
        check=True,
        capture_output=True,
    )
    np.testing.assert_array_equal(np.load(tmp_path / 'boxes.npy'), boxes)


@pytest.mark.parametrize('mode', ['single', 'fast'])
@pytest.mark.parametrize('seed', range(3))
def test_boxes_are_opencvs(mode, seed):
    """In ``quality``, groupings by size alone meet pairs that are equally similar; then OpenCV's sorting decides."""
    noise = np.random.default_rng(seed).integers(-9, 10, (110, 140, 3))
    image = np.clip(textured(seed, 110, 140) + noise, 0, 255).astype(np.uint8)
    # OpenCV's own modes round sigma to float32, and 0.75 is the same there.
    parameters = SearchParameters(mode, k=100, sigma=0.75)
    expected = opencv_search(image, parameters)
    assert len(expected) > 20
    np.testing.assert_array_equal(selective_search(image, parameters), expected)


def test_quality_has_nearly_opencvs_boxes():
    noise = np.random.default_rng(0).integers(-9, 10, (110, 140, 3))
    image = np.clip(textured(0, 110, 140) + noise, 0, 255).astype(np.uint8)
    parameters = SearchParameters('quality', k=100, sigma=0.75)
    ours, theirs = ({tuple(box) for box in f(image, parameters).tolist()} for f in (selective_search, opencv_search))
    assert len(ours & theirs) > 0.9 * len(ours | theirs)


def test_a_smaller_copy_is_searched_with_parameters_that_shrink_along():
    image = cv2.resize(textured(4, 60, 80), (320, 240), interpolation=cv2.INTER_NEAREST)
    small = SearchParameters(max_side=160)
    shrunk = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    expected = selective_search(shrunk, SearchParameters(k=150, min_size=25))
    np.testing.assert_array_equal(selective_search(image, small), 2 * expected)
    # The full size is left as it is.
    same = selective_search(image, SearchParameters(max_side=320))
    np.testing.assert_array_equal(same, selective_search(image))


@pytest.mark.parametrize('shape', [(97, 131), (131, 97), (5, 301), (301, 5)])
def test_boxes_of_a_smaller_copy_reach_the_edges_of_the_image(shape):
    boxes = selective_search(textured(5, *shape), SearchParameters(max_side=64))
    height, width = shape
    assert (boxes >= 0).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
    assert boxes[:, 2:].max(axis=0).tolist() == [width, height]


@pytest.mark.slow
@pytest.mark.parametrize('shape', [(2, 33000), (40000, 2)])
def test_images_longer_than_opencv_can_turn_have_boxes(shape):
    boxes = selective_search(textured(6, *shape))
    height, width = shape
    assert len(boxes) > 1
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0] and boxes[:, 2:].max(axis=0).tolist() == [width, height]


def test_a_image_in_which_nothing_is_found_is_its_own_box():
    boxes = selective_search(np.zeros((1, 1, 3), np.uint8))
    assert boxes.tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize('arguments', [dict(k=0), dict(sigma=0.0), dict(min_size=-1), dict(max_side=0)])
def test_parameters_that_find_nothing_are_refused(arguments):
    with pytest.raises(UserError, match=r'segments nothing|leaves nothing'):
        SearchParameters(**arguments)


def test_an_unknown_mode_is_refused():
    with pytest.raises(UserError, match=r"mode 'slow' is unknown; choose one of single, fast, quality"):
        SearchParameters('slow')


def test_opencv_without_selective_search_is_explained(monkeypatch):
    require_selective_search()
    monkeypatch.delattr(cv2.ximgproc.segmentation, 'createGraphSegmentation')
    with pytest.raises(UserError, match=r'no selective search, .* run: mmsoco doctor --fix'):
        require_selective_search()
