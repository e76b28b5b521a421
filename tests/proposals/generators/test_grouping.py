import cv2
import numpy as np
import pytest

from mmsoco.proposals.generators import grouping
from mmsoco.proposals.generators.grouping import MEASURES, group
from mmsoco.proposals.generators.selective_search import portable_arithmetic

segmentation = cv2.ximgproc.segmentation


@pytest.fixture(autouse=True)
def same_arithmetic():
    with portable_arithmetic():
        yield


def random_image(seed, height=90, width=120, channels=3):
    """Blobs with some noise: segments of all sizes, hardly two pairs equally similar."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 9, channels), dtype=np.uint8)
    noise = rng.integers(-12, 13, (height, width, channels))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8).reshape((height, width, channels)[: 2 + (channels > 1)])


def opencv_group(image, segmenter, strategies):
    """OpenCV's grouping of the same segments."""
    search = segmentation.createSelectiveSearchSegmentation()
    search.addImage(image)
    search.addGraphSegmentation(segmenter)
    for measures in strategies:
        parts = [
            getattr(segmentation, f'createSelectiveSearchSegmentationStrategy{name.capitalize()}')()
            for name in measures
        ]
        search.addStrategy(
            segmentation.createSelectiveSearchSegmentationStrategyMultiple(*parts) if len(parts) > 1 else parts[0]
        )
    found = np.asarray(search.process())
    return np.unique(np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1), axis=0)


def segment(image, min_size=20):
    segmenter = segmentation.createGraphSegmentation(0.8, 60, min_size)
    return segmenter, segmenter.processImage(image)


@pytest.mark.parametrize(
    'strategies',
    [
        [MEASURES],
        [('color',)],
        [('texture',)],
        [('fill', 'texture', 'size')],
        [('color', 'fill')],
        [MEASURES, ('fill',)],
    ],
)
@pytest.mark.parametrize(('seed', 'channels'), [(0, 3), (1, 3), (2, 1)])
def test_boxes_are_opencvs(strategies, seed, channels):
    image = random_image(seed, channels=channels)
    segmenter, segments = segment(image)
    boxes = group(image, segments, strategies)
    assert segments.max() > 20
    np.testing.assert_array_equal(np.unique(boxes, axis=0), opencv_group(image, segmenter, strategies))


@pytest.mark.parametrize('measure', MEASURES)
def test_similarities_are_opencvs_to_the_last_bit(measure):
    image = random_image(4, 150, 170)
    _, segments = segment(image)
    sizes = np.bincount(segments.ravel())
    strategy = getattr(segmentation, f'createSelectiveSearchSegmentationStrategy{measure.capitalize()}')()
    strategy.setImage(image, segments, sizes.astype(np.int32)[:, None], -1)
    count = len(sizes)
    pairs = grouping._touching(segments, count)
    histograms = {
        'color': grouping.color_histograms(image, segments, count),
        'texture': grouping.texture_histograms(image, segments, count),
    }
    boxes = grouping._bounding_boxes(segments, count)
    ours = grouping._Grouping((measure,), sizes, boxes, histograms, pairs)._similarity(*pairs.T)
    theirs = np.array([strategy.get(a, b) for a, b in pairs.tolist()], np.float32)
    assert len(pairs) > 100
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('shape', [(30, 200), (200, 30), (12, 13), (2, 50), (50, 2)])
def test_narrow_images_too(shape):
    """A turned copy of a narrow image is smaller than the image is long."""
    image = random_image(3, *shape)
    segmenter, segments = segment(image, min_size=5)
    boxes = group(image, segments, [MEASURES])
    np.testing.assert_array_equal(np.unique(boxes, axis=0), opencv_group(image, segmenter, [MEASURES]))


def test_the_most_similar_neighbours_merge_first():
    """Three stripes; the two reds are one before blue joins them."""
    image = np.zeros((30, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = (200, 10, 10), (205, 10, 10), (10, 10, 200)
    segments = np.repeat([0, 1, 2], 20)[None].repeat(30, axis=0).astype(np.int32)
    stripes = [[0, 0, 20, 30], [20, 0, 40, 30], [40, 0, 60, 30]]
    assert group(image, segments, [('color',)]).tolist() == [*stripes, [0, 0, 40, 30], [0, 0, 60, 30]]


def test_segments_that_do_not_touch_stay_apart():
    """OpenCV looks for neighbours left, above and diagonally, its first row and column aside."""
    segments = np.array([[0, 0, 1, 1]], np.int32)
    boxes = group(np.zeros((1, 4, 3), np.uint8), segments, [MEASURES])
    assert boxes.tolist() == [[0, 0, 2, 1], [2, 0, 4, 1]]


def test_images_of_one_colour():
    """Each texture map is constant then, which OpenCV divides by."""
    image = np.full((40, 50, 3), 77, np.uint8)
    segments = np.zeros((40, 50), np.int32)
    segments[:, 25:] = 1
    assert group(image, segments, [MEASURES]).tolist() == [[0, 0, 25, 40], [25, 0, 50, 40], [0, 0, 50, 40]]
