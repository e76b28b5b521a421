import numpy as np

from mmsoco.visualization.drawing import PALETTE
from mmsoco.visualization.views import draw_matched_views

GAP = 6
BOXES = np.array([[4, 4, 20, 20], [26, 6, 40, 30], [8, 26, 22, 42]], np.float32)


def grey(size, level=128):
    return np.full((size, size, 3), level, np.uint8)


def colors_at(sheet, x, y, boxes):
    """The colour of each box's upper edge, in the cell that begins at x, y."""
    return [tuple(sheet[y + int(y1), x + int((x1 + x2) / 2)].tolist()) for x1, y1, x2, _ in boxes]


def test_matching_boxes_have_matching_colors_in_all_views():
    views = dict(v1=grey(48), v2=grey(48, 100))
    flipped = BOXES.copy()
    flipped[:, [0, 2]] = 48 - BOXES[:, [2, 0]]
    sheet = draw_matched_views(views, dict(v1=dict(a=BOXES), v2=dict(a=flipped)))
    first = colors_at(sheet, GAP, GAP, BOXES)
    second = colors_at(sheet, GAP + 48 + GAP, GAP, flipped)
    assert first == second == list(PALETTE[:3])


def test_each_set_of_boxes_is_a_row_of_its_views():
    views = dict(v1=grey(48, 10), v2=grey(48, 20), v3=grey(24, 30), v4=grey(40, 40))
    none = np.empty((0, 4), np.float32)
    rows = {'image+v2': ['v1', 'v2', 'v3'], 'image+v4': ['v1', 'v4']}
    boxes = {view: {name: none for name, members in rows.items() if view in members} for view in views}
    sheet = draw_matched_views(views, boxes)
    cell = 48 + GAP
    assert sheet.shape == (2 * cell + GAP, 3 * cell + GAP, 3)
    expected = np.full_like(sheet, 255)
    for row, members in enumerate(rows.values()):
        for column, name in enumerate(members):
            y, x = GAP + row * cell, GAP + column * cell
            expected[y : y + len(views[name]), x : x + len(views[name])] = views[name]
    np.testing.assert_array_equal(sheet, expected)


def test_zoom_enlarges_views_and_boxes():
    sheet = draw_matched_views(dict(v1=grey(48)), dict(v1=dict(a=BOXES)), zoom=2)
    assert sheet.shape == (96 + 2 * GAP, 96 + 2 * GAP, 3)
    assert colors_at(sheet, GAP, GAP, 2 * BOXES) == list(PALETTE[:3])


def test_views_are_not_drawn_on():
    view = grey(48)
    draw_matched_views(dict(v1=view), dict(v1=dict(a=BOXES)))
    assert (view == 128).all()


def test_of_other_channels_the_searched_triple_is_shown():
    view = np.zeros((48, 48, 5), np.uint8)
    view[...] = (10, 20, 30, 40, 50)
    none = dict(v=dict(a=np.empty((0, 4), np.float32)))
    sheet = draw_matched_views(dict(v=view), none, triple=(5, 1, 3))
    assert sheet[GAP, GAP].tolist() == [50, 10, 30] and sheet.shape == (48 + 2 * GAP, 48 + 2 * GAP, 3)
    grey = draw_matched_views(dict(v=view[..., :1]), none)
    assert grey[GAP, GAP].tolist() == [10, 10, 10]
    assert draw_matched_views(dict(v=view), none).shape == sheet.shape
