import cv2

from mmsoco.engine.launch import train


def test_images_of_the_views_reach_the_visualizer(recipe, tiny_options, tmp_path):
    train(recipe, str(tmp_path), amp=False, options=tiny_options)
    images = sorted(tmp_path.glob('*/vis_data/vis_image/matched_boxes_*.png'))
    assert [p.name for p in images] == ['matched_boxes_0.png', 'matched_boxes_2.png']
    sheet = cv2.imread(str(images[0]))
    # Four images of a batch, each a row of two views of 64 px and one of 32.
    assert sheet.shape[0] > 4 * 64 and sheet.shape[1] > 3 * 64
    assert list(tmp_path.glob('*/vis_data/events.out.tfevents.*'))
