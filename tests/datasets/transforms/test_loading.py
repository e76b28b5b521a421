"""A detector sees what its pretraining saw."""

import cv2
import numpy as np
import pytest
from channel_images import write_images
from mmengine.registry import DefaultScope

from mmsoco.datasets.transforms import LoadImageFromFile
from mmsoco.errors import UserError


@pytest.mark.parametrize('count', [1, 4, 13])
def test_all_channels_and_shapes(count, tmp_path):
    ((name, (pixels, _)),) = write_images(tmp_path / 'images', count, number=1).items()
    results = LoadImageFromFile(channels=count)(dict(img_path=str(tmp_path / 'images' / name)))
    np.testing.assert_array_equal(results['img'], pixels)
    assert results['img'].dtype == np.uint8 and results['img'].flags.c_contiguous
    assert results['img_shape'] == results['ori_shape'] == (96, 120)


def test_three_channels_are_mmcvs(tmp_path):
    from mmdet.registry import TRANSFORMS

    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    given = dict(img_path=str(tmp_path / 'a.png'))
    with DefaultScope.overwrite_default_scope('mmdet'):
        own, theirs = (TRANSFORMS.build(dict(type=kind)) for kind in ('mmsoco.LoadImageFromFile', 'LoadImageFromFile'))
    assert isinstance(own, LoadImageFromFile) and type(theirs) is not type(own)
    np.testing.assert_array_equal(own(dict(given))['img'], theirs(dict(given))['img'])
    assert own(dict(given))['img_shape'] == theirs(dict(given))['img_shape']
    assert LoadImageFromFile(to_float32=True)(dict(given))['img'].dtype == np.float32


def test_deep_images_are_scaled_as_the_search_did(tmp_path):
    deep = np.full((4, 5, 3), 100, np.uint16)
    deep[0, 0] = 4095
    cv2.imwrite(str(tmp_path / 'a.png'), deep)
    levels = {rule: LoadImageFromFile(value_range=rule)(dict(img_path=str(tmp_path / 'a.png')))['img'][1, 1, 0]
              for rule in ('file', 'type', (0, 400))}  # fmt: skip
    assert list(levels.values()) == [6, 0, 64]


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r'a.tif: No such file .*; mend the image, or take it out of the annotations'):
        LoadImageFromFile()(dict(img_path=str(tmp_path / 'a.tif')))


@pytest.mark.parametrize('count', [1, 4, 13])
def test_mmdets_steps_of_the_recipes_keep_all_channels(count, tmp_path):
    from mmdet.registry import TRANSFORMS

    ((name, (pixels, _)),) = write_images(tmp_path / 'images', count, number=1).items()
    steps = [
        dict(type='mmsoco.LoadImageFromFile', channels=count),
        dict(type='Resize', scale=(60, 48), keep_ratio=True),
        dict(type='RandomFlip', prob=1.0),
        dict(type='PackDetInputs'),
    ]
    results = dict(img_path=str(tmp_path / 'images' / name), img_id=0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        for step in steps:
            results = TRANSFORMS.build(step)(results)
    packed = results['inputs'].permute(1, 2, 0).numpy()
    for i in range(count):
        alone = cv2.resize(np.ascontiguousarray(pixels[..., i]), (60, 48))[:, ::-1]
        # OpenCV rounds otherwise where there are more than four.
        np.testing.assert_allclose(packed[..., i], alone, atol=1)
