"""Transforms of images of other than three channels."""

import cv2
import numpy as np
import pytest
from textures import textured

from mmsoco.datasets.transforms import (
    BoxCutout,
    ChannelJitter,
    ColorJitter,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    MultiViewProposalPipeline,
    PackViews,
    Solarize,
)
from mmsoco.datasets.transforms.views import Region, resample
from mmsoco.errors import UserError
from mmsoco.registry import TRANSFORMS

COUNTS = (1, 2, 3, 4, 13)


def channels_of(count, height=40, width=56):
    """(H, W, C) uint8, each channel another picture."""
    rng = np.random.default_rng(count)
    texture = textured(height, width)
    return np.stack([np.roll(texture[..., i % 3], rng.integers(20), axis=i % 2) for i in range(count)], axis=2)


def apply(transform, image, seed=0):
    return transform(dict(img=image, boxes={}, rng=np.random.default_rng(seed)))['img']


@pytest.mark.parametrize('mirrored', [False, True])
@pytest.mark.parametrize('count', COUNTS)
def test_each_channel_becomes_what_it_would_alone(count, mirrored):
    image = channels_of(count)[:, :: -1 if mirrored else 1]
    alone = [np.ascontiguousarray(image[..., i]) for i in range(count)]
    steps = {
        GaussianBlur(1.0, (1.5, 1.5)): lambda channel: cv2.GaussianBlur(channel, (0, 0), 1.5),
        Solarize(1.0, 100): lambda channel: np.where(channel < 100, channel, 255 - channel),
        HorizontalFlip(1.0): lambda channel: channel[:, ::-1],
    }
    for step, expected in steps.items():
        result = apply(step, image)
        assert result.dtype == np.uint8 and result.shape == image.shape
        np.testing.assert_array_equal(result, np.stack([expected(channel) for channel in alone], axis=2))
    # Resampled in threes, as RGB is.
    region = Region(3, 5, 50, 37)
    threes = [resample(np.repeat(channel[..., None], 3, axis=2), region, 24)[..., :1] for channel in alone]
    result = resample(image.copy(), region, 24)
    assert result.shape == (24, 24, count)
    np.testing.assert_array_equal(result, np.concatenate(threes, axis=2))


@pytest.mark.parametrize('count', COUNTS)
def test_views_of_all_channels_leave_contiguous(count):
    augment = [
        dict(type='mmsoco.HorizontalFlip'),
        dict(type='mmsoco.ChannelJitter', prob=1.0),
        dict(type='mmsoco.GaussianBlur', prob=1.0),
        dict(type='mmsoco.Solarize', prob=1.0),
    ]
    views = dict(
        v1=dict(size=32, augment=augment),
        v2=dict(source='v1', size=16, crop=dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)), augment=augment),
    )
    pipeline = MultiViewProposalPipeline(views, [('v1', 'v2')], num_proposals=2)
    proposals = np.array([[4, 4, 30, 30], [10, 8, 50, 36]], np.float32)
    results = dict(img=channels_of(count), proposals=proposals, rng=np.random.default_rng(0), index=0)
    inputs = PackViews()(pipeline(results))['inputs']
    for name, size in (('v1', 32), ('v2', 16)):
        assert inputs[name].shape == (size, size, count) and inputs[name].dtype == np.uint8
        assert inputs[name].flags.c_contiguous


@pytest.mark.parametrize('count', COUNTS)
def test_brightness_and_contrast_are_each_channels_own(count):
    image = channels_of(count)
    draws = np.random.default_rng(3)
    assert draws.random() < 0.9
    order = draws.permutation(2)
    expected = image.astype(float)
    for step in order:
        factors = draws.uniform(0.5, 1.5, count)
        mean = 0 if step == 0 else np.rint(expected.mean(axis=(0, 1)))
        expected = np.clip(np.rint(mean + (expected - mean) * factors), 0, 255)
    result = apply(ChannelJitter(prob=0.9, brightness=0.5, contrast=0.5), image, seed=3)
    assert result.shape == image.shape and result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


def test_channels_are_jittered_independently():
    flat = np.full((4, 4, 13), 100, np.uint8)
    levels = np.array([apply(ChannelJitter(prob=1.0, contrast=0), flat, seed)[0, 0] for seed in range(400)], float)
    assert levels.min() >= 60 and levels.max() <= 140 and levels.min() < 62 and levels.max() > 138
    correlation = np.corrcoef(levels.T) - np.eye(13)
    assert np.abs(correlation).max() < 0.25
    # Without a mean of its own, a flat channel has no contrast to change.
    np.testing.assert_array_equal(apply(ChannelJitter(prob=1.0, brightness=0), flat), flat)


def test_jitter_follows_its_probability_and_has_byols_defaults():
    jitter = ChannelJitter()
    assert jitter.prob == 0.8 and [bounds for _, bounds in jitter.steps] == [(0.6, 1.4)] * 2
    image = channels_of(4, 8, 8)
    changed = [not np.array_equal(apply(ChannelJitter(prob=0.3), image, seed), image) for seed in range(2000)]
    assert np.mean(changed) == pytest.approx(0.3, abs=4 * (0.21 / 2000) ** 0.5)
    np.testing.assert_array_equal(image, channels_of(4, 8, 8))


@pytest.mark.parametrize('count', [1, 2, 4, 13])
def test_colour_is_of_rgb_alone(count):
    """Whatever is drawn: the first image tells."""
    image = channels_of(count)
    with pytest.raises(UserError, match=rf'ColorJitter is for RGB, and the images have {count} .*ChannelJitter'):
        apply(ColorJitter(prob=0), image)
    with pytest.raises(UserError, match=rf'Grayscale is for RGB, and the images have {count} channels; leave it out'):
        apply(Grayscale(prob=0), image)


def test_cutout_fills_as_many_channels():
    image = np.zeros((20, 20, 4), np.uint8)
    results = dict(img=image, boxes={'a': np.array([[5.0, 5, 15, 15]])}, rng=np.random.default_rng(0))
    filled = BoxCutout(prob=1.0, fill=(1, 2, 3, 4))(dict(results))['img']
    assert np.unique(filled.reshape(-1, 4), axis=0).tolist() == [[0, 0, 0, 0], [1, 2, 3, 4]]
    with pytest.raises(UserError, match='BoxCutout fills with 3 values, and the images have 4 channels'):
        BoxCutout(prob=1.0)(dict(results))


def test_the_registry_knows_the_name():
    assert isinstance(TRANSFORMS.build(dict(type='mmsoco.ChannelJitter')), ChannelJitter)
