import cv2
import pytest

from mmsoco.engine.launch import train


def test_images_of_the_views_reach_the_visualizer(recipe, tiny_options, tmp_path):
    train(recipe, str(tmp_path), amp=False, options=tiny_options)
    images = sorted(tmp_path.glob('*/vis_data/vis_image/matched_boxes_*.png'))
    assert [p.name for p in images] == ['matched_boxes_0.png', 'matched_boxes_2.png']
    sheet = cv2.imread(str(images[0]))
    # Four images of a batch, each a row of two views of 64 px and one of 32.
    assert sheet.shape[0] > 4 * 64 and sheet.shape[1] > 3 * 64
    assert list(tmp_path.glob('*/vis_data/events.out.tfevents.*'))


@pytest.mark.slow
def test_they_are_shown_as_the_network_sees_them(recipe, tiny_options, tmp_path):
    """Also where colours are the device's part."""
    key = 'train_dataloader.dataset.pipeline.multi_view.photometry'
    shown = []
    for place in ('loader', 'device'):
        options = {**tiny_options, key: place, 'train_cfg': dict(_delete_=True, type='PretrainLoop', max_steps=1)}
        train(recipe, str(tmp_path / place), amp=False, options=options)
        (path,) = (tmp_path / place).glob('*/vis_data/vis_image/matched_boxes_0.png')
        shown.append(cv2.imread(str(path)).astype(int))
        (log,) = (tmp_path / place).glob('*/*.log')
        assert f'Colour, blur and solarisation: {"in the loader" if place == "loader" else "on the device"}' in (
            log.read_text()
        )
    assert abs(shown[0] - shown[1]).max() <= 2
