import numpy as np

from mmsoco.boxes import clip_boxes, inside, iou, xywh_to_xyxy, xyxy_to_xywh


def test_iou_is_that_of_torchvision():
    from torch import from_numpy
    from torchvision.ops import box_iou

    rng = np.random.default_rng(0)
    a, b = (np.sort(rng.uniform(0, 9, (n, 2, 2)), axis=1).reshape(-1, 4) for n in (20, 30))
    np.testing.assert_allclose(iou(a, b), box_iou(from_numpy(a), from_numpy(b)).numpy())
    assert iou(a, np.empty((0, 4))).shape == (20, 0)


def test_clip_cuts_x_to_the_width_and_y_to_the_height():
    boxes = np.array([[-5, -6, 70, 80], [10, 20, 30, 40], [60, 70, 80, 90]], np.float32)
    clipped = clip_boxes(boxes, 50, 60)
    assert clipped.tolist() == [[0, 0, 50, 60], [10, 20, 30, 40], [50, 60, 50, 60]]
    assert clipped.dtype == np.float32


def test_corner_and_sides_there_and_back():
    xywh = np.array([[1, 2, 3, 4], [0, 0, 5, 0]])
    assert xywh_to_xyxy(xywh).tolist() == [[1, 2, 4, 6], [0, 0, 5, 0]]
    np.testing.assert_array_equal(xyxy_to_xywh(xywh_to_xyxy(xywh)), xywh)
    assert xywh_to_xyxy(np.empty((0, 4))).shape == (0, 4)


def test_boxes_inside_have_an_area_and_stay_in_their_image():
    boxes = [
        [0, 0, 50, 60],
        [49, 59, 50, 60],
        [0, 0, 51, 60],
        [0, 0, 50, 61],
        [-1, 0, 5, 5],
        [0, -1, 5, 5],
        [5, 5, 5, 9],
        [5, 9, 9, 5],
    ]
    assert inside(np.array(boxes), 50, 60).tolist() == [True, True, *[False] * 6]
    assert inside(np.empty((0, 4)), 50, 60).tolist() == []
