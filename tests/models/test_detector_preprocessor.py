import pytest
import torch

from mmsoco.errors import UserError
from mmsoco.models import ChannelDetDataPreprocessor, SoCoDataPreprocessor


def batch(channels):
    from mmdet.structures import DetDataSample

    samples = [DetDataSample(metainfo=dict(img_shape=shape)) for shape in ((20, 30), (24, 25))]
    generator = torch.Generator().manual_seed(0)
    shapes = [(channels, *sample.img_shape) for sample in samples]
    images = [torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for shape in shapes]
    return dict(inputs=images, data_samples=samples)


@pytest.mark.parametrize('count', [1, 2, 3, 4, 13])
def test_each_channel_has_statistics_of_its_own(count):
    mean, std = [10.0 + i for i in range(count)], [5.0 + i for i in range(count)]
    given = batch(count)
    out = ChannelDetDataPreprocessor(mean, std, pad_size_divisor=32)(given)
    assert out['inputs'].shape == (2, count, 32, 32) and out['data_samples'][0].batch_input_shape == (32, 32)
    for i in range(count):
        expected = (given['inputs'][1][i].float() - mean[i]) / std[i]
        torch.testing.assert_close(out['inputs'][1, i, :24, :25], expected)
    # As the pretraining sees the same pixels.
    views = dict(inputs=dict(v1=given['inputs'][0].permute(1, 2, 0)[None]))
    theirs = SoCoDataPreprocessor(mean, std)(views)['inputs']['v1'][0]
    torch.testing.assert_close(out['inputs'][0, :, :20, :30], theirs)
    assert not ChannelDetDataPreprocessor(mean, std).state_dict()


def test_three_channels_may_be_turned():
    given = batch(3)
    out = ChannelDetDataPreprocessor([1.0, 2, 3], [1.0, 1, 1], bgr_to_rgb=True)(given)
    torch.testing.assert_close(out['inputs'][0, 0, :20, :30], given['inputs'][0][2].float() - 1)
    with pytest.raises(UserError, match='bgr_to_rgb=True is for 3 channels, mean is of 4'):
        ChannelDetDataPreprocessor([1.0] * 4, [1.0] * 4, bgr_to_rgb=True)


@pytest.mark.parametrize('preprocessor', [SoCoDataPreprocessor, ChannelDetDataPreprocessor])
def test_statistics_that_are_none(preprocessor):
    for mean, std, words in (
        (None, None, 'mean and std of data_preprocessor are missing; measure them by mmsoco statistics'),
        ([1, 2], [1, 2, 3], '2 values of mean and 3 of std'),
        ([1, 2], [1, 0], r'std of data_preprocessor is \[1, 0\], which is not above 0'),
    ):
        with pytest.raises(UserError, match=words):
            preprocessor(mean=mean, std=std)


@pytest.mark.parametrize(('channels', 'statistics'), [(1, 3), (3, 1), (13, 3), (4, 13)])
def test_other_images_than_the_statistics_are_of(channels, statistics):
    words = f'images have {channels} channels, mean and std of data_preprocessor are of {statistics}; measure'
    with pytest.raises(UserError, match=words):
        ChannelDetDataPreprocessor([1.0] * statistics, [1.0] * statistics)(batch(channels))
    view = torch.zeros(2, 8, 8, channels, dtype=torch.uint8)
    with pytest.raises(UserError, match=words):
        SoCoDataPreprocessor([1.0] * statistics, [1.0] * statistics)(dict(inputs=dict(v1=view)))
