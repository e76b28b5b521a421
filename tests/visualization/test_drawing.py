import cv2
import numpy as np
import pytest
from PIL import Image

from mmsoco.visualization.drawing import PALETTE, contact_sheet, draw_boxes, write_image

RED, GREEN = (255, 0, 0), (0, 255, 0)


def black(height=40, width=50):
    return np.zeros((height, width, 3), np.uint8)


def test_a_box_is_drawn_along_its_edges():
    canvas = draw_boxes(black(), [[5, 8, 30, 25]], [RED])
    for edge in (canvas[8, 5:30], canvas[25, 5:30], canvas[8:25, 5], canvas[8:25, 30]):
        assert (edge == RED).all()
    assert not canvas[9:25, 6:30].any()
    outside = canvas.copy()
    outside[8:26, 5:31] = 0
    assert not outside.any()


def test_colors_are_used_in_turn():
    boxes = np.array([[2, 2, 8, 8], [12, 2, 18, 8], [22, 2, 28, 8]], np.float32)
    canvas = draw_boxes(black(), boxes, [RED, GREEN])
    assert [tuple(canvas[2, x].tolist()) for x in (4, 14, 24)] == [RED, GREEN, RED]


def test_coordinates_are_rounded():
    canvas = draw_boxes(black(), np.array([[4.6, 8.4, 29.6, 25.4]], np.float32), [RED])
    np.testing.assert_array_equal(canvas, draw_boxes(black(), [[5, 8, 30, 25]], [RED]))


def test_the_whole_image_is_framed_at_its_border():
    canvas = draw_boxes(black(), [[0, 0, 50, 40]], [RED])
    for edge in (canvas[0], canvas[-1], canvas[:, 0], canvas[:, -1]):
        assert (edge == RED).all()
    assert not canvas[1:-1, 1:-1].any()


def test_zoom_enlarges_the_image_and_the_boxes():
    image = black()
    image[10:20, 10:20] = 200
    canvas = draw_boxes(image, [[5, 8, 30, 25]], [RED], zoom=3)
    assert canvas.shape == (120, 150, 3)
    assert (canvas[24, 15:90] == RED).all() and (canvas[24:75, 15] == RED).all()
    assert (canvas[35:55, 35:55] == 200).all()


def test_a_thick_line_is_thicker():
    thin, thick = (draw_boxes(black(), [[5, 8, 30, 25]], [RED], thickness).any(axis=2).sum() for thickness in (1, 3))
    assert thick > 2 * thin


def test_the_image_itself_is_not_drawn_on():
    image = black()
    draw_boxes(image, [[5, 8, 30, 25]], [RED])
    assert not image.any()


def test_a_mirrored_image_can_be_drawn_on():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    canvas = draw_boxes(image[:, ::-1], np.empty((0, 4)), [RED])
    np.testing.assert_array_equal(canvas, image[:, ::-1])


def test_palette_colors_are_distinct():
    assert len(set(PALETTE)) == len(PALETTE) >= 4


def test_a_contact_sheet_has_its_images_in_rows_on_white():
    sizes = [(10, 20), (8, 12), (10, 5), (4, 20), (7, 7)]
    images = [np.full((*size, 3), 10 * (i + 1), np.uint8) for i, size in enumerate(sizes)]
    sheet = contact_sheet(images, columns=2, gap=3)
    assert sheet.shape == (3 * 13 + 3, 2 * 23 + 3, 3)
    expected = np.full_like(sheet, 255)
    for i, (height, width) in enumerate(sizes):
        y, x = 3 + 13 * (i // 2), 3 + 23 * (i % 2)
        expected[y : y + height, x : x + width] = 10 * (i + 1)
    np.testing.assert_array_equal(sheet, expected)


def test_a_written_png_is_read_back_in_rgb_order(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    write_image(tmp_path / 'new' / 'a.png', image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'new' / 'a.png')), image)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['a.png']


def test_the_ending_decides_the_format(tmp_path):
    write_image(tmp_path / 'a.jpg', np.full((20, 30, 3), (200, 100, 50), np.uint8))
    with Image.open(tmp_path / 'a.jpg') as image:
        assert image.format == 'JPEG'
        assert np.abs(np.asarray(image).astype(int) - (200, 100, 50)).max() < 6


def test_an_unknown_ending_fails_and_leaves_nothing(tmp_path):
    with pytest.raises((OSError, cv2.error)):
        write_image(tmp_path / 'a.unknown', black())
    assert list(tmp_path.iterdir()) == []
