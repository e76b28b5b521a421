import json

import cv2
import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals
from mmsoco.visualization.drawing import PALETTE
from mmsoco.visualization.proposals import choose_rows, draw_proposals, measure, plot_statistics


@pytest.fixture
def source(tmp_path):
    rows = [
        ProposalRow('a.png', 100, 100, np.array([[0, 0, 50, 50], [0, 0, 100, 100], [0, 0, 20, 80]])),
        ProposalRow('b.png', 100, 25, np.array([[0, 0, 25, 25]])),
        ProposalRow('c.png', 100, 25, np.empty((0, 4), int)),
    ]
    write_proposals(tmp_path / 'p.arrow', rows, dict(root=str(tmp_path)))
    for row in rows:
        cv2.imwrite(str(tmp_path / row.file_name), np.full((row.height, row.width, 3), 50, np.uint8))
    return tmp_path / 'p.arrow'


def test_statistics(source):
    statistics = measure(source)
    assert statistics.counts.tolist() == [3, 1, 0]
    found = np.repeat(np.arange(10_000) / 10_000, statistics.sizes)
    np.testing.assert_allclose(found, [0.4, 0.5, 0.5, 1], atol=2e-4)
    about = statistics.describe()
    assert about['images'] == 3 and about['boxes'] == 4
    assert about['boxes an image']['50 %'] == 1 and about['size']['mean'] == pytest.approx(0.6, abs=2e-4)
    assert about['size']['50 %'] == pytest.approx(0.5, abs=2e-4) and about['size']['95 %'] > 0.99
    json.dumps(about)
    assert '4 boxes of 3 images' in str(statistics)


def test_the_plot_has_both_sources(source, tmp_path):
    plot_statistics({'one': measure(source)}, tmp_path / 'one.png')
    plot_statistics({'one': measure(source), 'two': measure(source)}, tmp_path / 'two.png')
    one, two = (cv2.imread(str(tmp_path / f'{name}.png')) for name in ('one', 'two'))
    assert one.shape == two.shape
    # Both histograms are drawn over each other, so the second changes the colour of the bars.
    assert (one != two).any(axis=2).mean() > 0.01


def test_boxes_are_drawn_where_they_are(source, tmp_path):
    rows = choose_rows(source, 3, 3, seed=0)
    assert [row.file_name for row in rows] == ['a.png', 'b.png', 'c.png']
    sheet = draw_proposals(rows, ImageRoot(tmp_path), columns=3, side=200)
    assert sheet.shape == (6 + 200 + 6, 3 * 206 + 6, 3)
    drawn = (sheet[:, :, None] == np.array(PALETTE)).all(axis=3).any(axis=2)
    # The second image is enlarged to 200x50 px, its box to 50x50, at the top left of its cell.
    ys, xs = np.nonzero(drawn[:, 206:412])
    assert ys.max() <= 6 + 51 and ys.max() >= 6 + 48
    assert 206 + xs.max() <= 212 + 51 and 206 + xs.max() >= 212 + 48
    assert not drawn[:, 412:].any()
    few = draw_proposals(rows[:1], ImageRoot(tmp_path), boxes=1, columns=1)
    assert len({tuple(color) for color in few[(few[:, :, None] == np.array(PALETTE)).all(axis=3).any(axis=2)]}) == 1


def test_seeds_choose_and_unreadable_images_are_passed_over(source, tmp_path):
    chosen = {tuple(row.file_name for row in choose_rows(source, 3, 2, seed)) for seed in range(20)}
    assert len(chosen) == 3
    (tmp_path / 'a.png').write_text('broken')
    rows = choose_rows(source, 3, 3, 0)
    assert draw_proposals(rows, ImageRoot(tmp_path), columns=3, side=100).shape[1] == 3 * 106 + 6
    with pytest.raises(UserError, match=r'no image can be drawn: .*a\.png'):
        draw_proposals(rows[:1], ImageRoot(tmp_path))


def test_an_image_that_changed_is_not_drawn_with_its_old_boxes(source, tmp_path):
    store = ProposalStore.open(source)
    images, rows = ImageRoot(tmp_path), [store[i] for i in range(3)]
    whole = draw_proposals(rows, images, side=50)
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((40, 60, 3), np.uint8))
    np.testing.assert_array_equal(draw_proposals(rows, images, side=50), draw_proposals(rows[1:], images, side=50))
    assert whole.shape != draw_proposals(rows, images, side=50).shape
    with pytest.raises(UserError, match=r'a\.png has 60 x 40 pixels, and had 100 x 100 when searched'):
        draw_proposals(rows[:1], images)
