import numpy as np
import pytest

from mmsoco.boxes import iou
from mmsoco.datasets.transforms import BoxCutout, BoxJitter, HorizontalFlip, Thin
from mmsoco.registry import TRANSFORMS

COUNT = 20_000


def results_of(boxes, height=1000, width=1200, seed=0):
    img = np.zeros((height, width, 3), np.uint8)
    return dict(img=img, boxes=boxes, rng=np.random.default_rng(seed))


def inner_boxes(count=COUNT):
    """Boxes so far from the border that nothing clips them."""
    rng = np.random.default_rng(9)
    corners, sides = rng.uniform(200, 600, (count, 2)), rng.uniform(50, 250, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def relative_changes(before, after):
    """(N, 4): shifts of the centre over the sides, and changes of the sides, in x and y."""
    before, after = before.astype(float), after.astype(float)
    sides = before[:, 2:] - before[:, :2]
    shift = (after[:, :2] + after[:, 2:] - before[:, :2] - before[:, 2:]) / 2 / sides
    return np.concatenate([shift, (after[:, 2:] - after[:, :2]) / sides - 1], axis=1)


def jitter(boxes, seed=0, **arguments):
    results = BoxJitter(**arguments)(results_of({'draw': boxes.copy()}, seed=seed))
    return results['boxes']['draw']


@pytest.mark.parametrize('prob', [0.2, 0.5, 0.9])
def test_the_fraction_of_jittered_boxes_is_the_probability(prob):
    boxes = inner_boxes()
    changed = (jitter(boxes, prob=prob) != boxes).any(axis=1)
    assert changed.mean() == pytest.approx(prob, abs=5 * np.sqrt(prob * (1 - prob) / COUNT))


def test_boxes_that_are_not_chosen_keep_every_bit():
    boxes = inner_boxes()
    jittered = jitter(boxes)
    changes = np.abs(relative_changes(boxes, jittered)).max(axis=1)
    same = (jittered == boxes).all(axis=1)
    assert same.sum() > COUNT / 3
    # Between the two kinds there is nothing: no box is changed by rounding alone.
    assert changes[~same].min() > 1e-4


@pytest.mark.parametrize('ratio', [0.1, 0.3])
def test_shifts_and_sizes_are_uniform_in_the_ratio(ratio):
    boxes = inner_boxes()
    changes = relative_changes(boxes, jitter(boxes, prob=1.0, ratio=ratio)) / ratio
    assert np.abs(changes).max() <= 1 + 1e-4
    assert (changes.max(axis=0) > 0.995).all() and (changes.min(axis=0) < -0.995).all()
    # The mean of U(-1, 1) has the standard deviation 1 / sqrt(3 N).
    assert (np.abs(changes.mean(axis=0)) < 5 / np.sqrt(3 * COUNT)).all()
    for column in changes.T:
        counts, _ = np.histogram(column, bins=10, range=(-1, 1))
        np.testing.assert_allclose(counts, COUNT / 10, atol=5 * np.sqrt(COUNT * 0.09))


def test_the_four_draws_are_independent():
    boxes = inner_boxes()
    changes = relative_changes(boxes, jitter(boxes, prob=1.0))
    correlations = np.corrcoef(changes, rowvar=False) - np.eye(4)
    assert np.abs(correlations).max() < 5 / np.sqrt(COUNT)


def test_boxes_are_jittered_each_on_its_own():
    boxes = np.repeat(inner_boxes(1), 50, axis=0)
    assert len(np.unique(jitter(boxes, prob=1.0), axis=0)) == 50


def test_each_draw_of_proposals_is_jittered_on_its_own():
    boxes = inner_boxes(20)
    results = BoxJitter(prob=1.0)(results_of({'a': boxes.copy(), 'b': boxes.copy()}))
    a, b = results['boxes']['a'], results['boxes']['b']
    assert (a != boxes).any(axis=1).all() and (b != boxes).any(axis=1).all()
    assert (a != b).any(axis=1).all()


def test_the_generator_decides():
    boxes = inner_boxes(10)
    np.testing.assert_array_equal(jitter(boxes, seed=3), jitter(boxes, seed=3))
    assert (jitter(boxes, seed=3) != jitter(boxes, seed=4)).any()


def test_jittered_boxes_are_cut_to_the_image():
    rng = np.random.default_rng(1)
    corners = np.sort(rng.uniform(0, 1, (5000, 2, 2)), axis=1).reshape(-1, 4)
    boxes = (corners * [60, 30, 60, 30]).astype(np.float32)
    boxes[0] = [0, 0, 60, 30]
    results = BoxJitter(prob=1.0)(results_of({'draw': boxes.copy()}, height=30, width=60))
    jittered = results['boxes']['draw']
    assert jittered.dtype == np.float32
    assert (jittered >= 0).all()
    assert (jittered[:, [0, 2]] <= 60).all() and (jittered[:, [1, 3]] <= 30).all()
    # Some met each border.
    assert (jittered[:, :2] == 0).any(axis=0).all()
    assert (jittered[:, 2] == 60).any() and (jittered[:, 3] == 30).any()
    assert (jittered[:, 2:] >= jittered[:, :2]).all()


def test_probability_0_changes_no_bit():
    boxes = inner_boxes(100)
    boxes[0] = [0, 0, 1200, 1000]
    assert jitter(boxes, prob=0.0).tobytes() == boxes.tobytes()


def test_the_callers_array_is_not_changed():
    boxes = inner_boxes(10)
    copy = boxes.copy()
    BoxJitter(prob=1.0)(results_of({'draw': boxes}))
    HorizontalFlip(prob=1.0)(results_of({'draw': boxes}))
    np.testing.assert_array_equal(boxes, copy)


def test_flip_mirrors_pixels_and_boxes():
    img = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    boxes = np.array([[0, 0, 40, 20], [3, 4, 10, 12], [0.25, 1, 0.5, 2]], np.float32)
    results = dict(img=img, boxes={'a': boxes.copy(), 'b': boxes[1:].copy()}, rng=np.random.default_rng(0))
    results = HorizontalFlip(prob=1.0)(results)
    np.testing.assert_array_equal(results['img'], img[:, ::-1])
    assert results['boxes']['a'].tolist() == [[0, 0, 40, 20], [30, 4, 37, 12], [39.5, 1, 39.75, 2]]
    np.testing.assert_array_equal(results['boxes']['b'], results['boxes']['a'][1:])
    # The box holds the same pixels as before.
    x1, y1, x2, y2 = results['boxes']['a'][1].astype(int)
    np.testing.assert_array_equal(results['img'][y1:y2, x1:x2], img[4:12, 3:10][:, ::-1])


def test_flip_with_probability_0_changes_nothing():
    boxes = np.array([[3, 4, 10, 12]], np.float32)
    results = results_of({'a': boxes}, height=20, width=40)
    img = results['img']
    results = HorizontalFlip(prob=0.0)(results)
    assert results['img'] is img
    assert results['boxes']['a'] is boxes


def test_flip_follows_its_probability():
    flip = HorizontalFlip(prob=0.3)
    img = np.array([[[0, 0, 0], [9, 9, 9]]], np.uint8)
    rng = np.random.default_rng(0)
    flipped = [flip(dict(img=img, boxes={}, rng=rng))['img'][0, 0, 0] == 9 for _ in range(2000)]
    assert np.mean(flipped) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize('kind', [BoxJitter, HorizontalFlip])
def test_the_registry_knows_the_name(kind):
    assert isinstance(TRANSFORMS.build(dict(type=f'mmsoco.{kind.__name__}', prob=0.25)), kind)


def test_jitter_of_the_corner_is_the_official_codes():
    """x1 moves by r1 w, the width becomes w (1 + r3): the centre's shift depends on both."""
    boxes = inner_boxes()
    after = jitter(boxes, prob=1.0, ratio=0.1, anchor='corner').astype(float)
    sides = boxes[:, 2:] - boxes[:, :2]
    shift = (after[:, :2] - boxes[:, :2]) / sides
    scale = (after[:, 2:] - after[:, :2]) / sides - 1
    for change in (shift, scale):
        assert np.abs(change).max() == pytest.approx(0.1, abs=1e-3)
        assert change.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
    assert abs(np.corrcoef(shift[:, 0], scale[:, 0])[0, 1]) < 0.03
    # Around the centre, the same draws would move the corner less or more with the width.
    centered = jitter(boxes, prob=1.0, ratio=0.1).astype(float)
    corner = (centered[:, :2] - boxes[:, :2]) / sides
    assert np.abs(corner).max() > 0.13


def test_unknown_anchor():
    with pytest.raises(ValueError, match="anchor 'edge' is unknown; choose one of corner, center"):
        BoxJitter(anchor='edge')


def cutout(seed, boxes, **arguments):
    img = np.full((200, 300, 3), 7, np.uint8)
    boxes = np.array(boxes, np.float32)
    results = BoxCutout(**arguments)(dict(img=img, boxes={'draw': boxes}, rng=np.random.default_rng(seed)))
    assert (img == 7).all(), 'the image given should stay as it was'
    return (results['img'] != 7).all(axis=2), results


def test_cutout_hides_squares_of_the_areas_asked_for_with_their_centre_in_the_box():
    box = [100, 60, 200, 140]
    shares = []
    for seed in range(300):
        hidden, results = cutout(seed, [box], prob=1.0)
        ys, xs = np.nonzero(hidden)
        width, height = np.ptp(xs) + 1, np.ptp(ys) + 1
        assert hidden.sum() == width * height and abs(width - height) <= 1
        shares.append(hidden.sum() / (100 * 80))
        assert 99 <= xs.mean() <= 201 and 59 <= ys.mean() <= 141
        assert (results['img'][hidden] == (124, 116, 104)).all()
    assert 0.095 < min(shares) < 0.12 and 0.28 < max(shares) < 0.315


def test_cutout_is_thrown_for_each_box_and_cut_to_the_view():
    far = [[0, 0, 40, 40], [250, 150, 300, 200]]
    hits = [[cutout(seed, far, prob=0.5)[0][y, x].any() for y, x in AREAS] for seed in range(400)]
    first, second = np.mean(hits, axis=0)
    assert first == pytest.approx(0.5, abs=0.1) and second == pytest.approx(0.5, abs=0.1)
    assert abs(np.corrcoef(np.array(hits, float).T)[0, 1]) < 0.15


AREAS = ((slice(0, 100), slice(0, 100)), (slice(100, 200), slice(200, 300)))


def test_cutout_with_probability_0_changes_nothing():
    assert not cutout(0, [[0, 0, 40, 40]], prob=0.0)[0].any()


def test_thinning_keeps_what_it_can():
    proposals = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [0, 5, 10, 15]], np.float32)
    kept = Thin(0.5)(dict(proposals=proposals, rng=np.random.default_rng(0)))['proposals']
    overlaps = iou(kept, kept) - np.eye(len(kept))
    assert overlaps.max() <= 0.5
    # Each that is left out lies on one that is kept.
    assert (iou(proposals, kept).max(axis=1) > 0.5).all()
    assert [30, 30, 40, 40] in kept.tolist() and len(kept) == 3


def test_thinning_is_that_of_all_pairs():
    """Whichever comes first in the generator's order stays, and what lies on it goes; also of very many boxes."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 300, (20_000, 2))
    proposals = np.hstack([corners, corners + rng.uniform(5, 60, corners.shape)]).astype(np.float32)
    few = proposals[:300]
    shuffled = np.random.default_rng(1).permutation(few)
    overlaps = iou(shuffled, shuffled) > 0.4
    kept: list[int] = []
    for i in range(len(shuffled)):
        if not overlaps[i, kept].any():
            kept.append(i)
    found = Thin(0.4)(dict(proposals=few, rng=np.random.default_rng(1)))['proposals']
    np.testing.assert_array_equal(found, shuffled[kept])
    many = Thin(0.4)(dict(proposals=proposals, rng=np.random.default_rng(1)))['proposals']
    assert len(found) < len(many) < len(proposals)
    none = Thin(0.4)(dict(proposals=few[:0], rng=np.random.default_rng(1)))['proposals']
    assert none.shape == (0, 4)
