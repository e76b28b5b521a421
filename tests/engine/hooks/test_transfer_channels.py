"""What a detector is told of other images than 8 bits of RGB."""

import pytest
import torch
from mmengine.config import Config, ConfigDict

from mmsoco.checkpoints.pretraining import Origin
from mmsoco.engine.hooks.transfer import check_images, check_loading
from mmsoco.errors import UserError
from mmsoco.images.reading import Reading
from mmsoco.models import ChannelDetDataPreprocessor

MEAN, STD = [float(i) for i in range(13)], [float(i) for i in range(1, 14)]


def checkpoint(**words):
    said = dict(parts=['backbone'], method='SoCoAlgorithm', mean=MEAN, std=STD, channels=13)
    return {'meta': {'pretraining': {**said, **Reading(13, (0.0, 4000.0)).describe(), 'deep': True, **words}}}


def model(preprocessor):
    module = torch.nn.Module()
    module.backbone, module.data_preprocessor = torch.nn.Conv2d(13, 1, 1), preprocessor
    return module


def test_a_checkpoint_says_how_images_were_read():
    origin = Origin.of(checkpoint())
    assert origin.reading == Reading(13, (0, 4000)) and origin.deep and origin.channels == 13
    assert Origin.of({'meta': {'pretraining': origin.describe()}}) == origin and origin.reads_unlike_others
    old = checkpoint(channels='rgb')
    for key in ('reading', 'deep'):
        del old['meta']['pretraining'][key]
    assert Origin.of(old).reading == Reading() and not Origin.of(old).reads_unlike_others
    for reading in ({'channels': 'many'}, {'bands': 13}, {'channels': 0}, [13]):
        assert Origin.of(checkpoint(reading=reading)) == Origin()
    assert Origin(deep=True).reads_unlike_others and Origin(reading=Reading(3, 'type')).reads_unlike_others


def test_other_statistics_are_refused():
    origin = Origin.of(checkpoint())
    check_images(model(ChannelDetDataPreprocessor(MEAN, STD)), origin)
    words = (
        r"set in its data_preprocessor mean=\[0.0, .*type='mmsoco.ChannelDetDataPreprocessor', which takes 13 channels"
    )
    others = [
        ChannelDetDataPreprocessor([*MEAN[:-1], 1.0], STD),
        ChannelDetDataPreprocessor(MEAN, [*STD[:-1], 1.0]),
        ChannelDetDataPreprocessor(MEAN[:1], STD[:1]),
        ChannelDetDataPreprocessor(MEAN[:3], STD[:3]),
        torch.nn.Identity(),
    ]
    for other in others:
        with pytest.raises(UserError, match=words):
            check_images(model(other), origin)
        check_images(model(other), origin, other_channels=True)


def test_one_channel_is_not_like_any_number():
    """Which broadcasting would make of it."""
    origin = Origin.of(checkpoint(mean=[5.0], std=[2.0], channels=1))
    with pytest.raises(UserError, match=r'mean=\[5.0\]'):
        check_images(model(ChannelDetDataPreprocessor([5.0] * 4, [2.0] * 4)), origin)


OWN = dict(type='mmsoco.LoadImageFromFile', channels=13, value_range=[0, 4000])


def config(load, val=OWN, wrapped=False):
    dataset = dict(type='CocoDataset', pipeline=[load, dict(type='PackDetInputs')])
    if wrapped:
        dataset = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[dataset]))
    rest = dict(type='CocoDataset', pipeline=[val])
    return Config(
        dict(default_scope='mmdet', train_dataloader=dict(dataset=dataset), val_dataloader=dict(dataset=rest))
    )


def test_loaders_read_as_the_pretraining_did():
    origin = Origin.of(checkpoint())
    check_loading(config(OWN), origin)
    check_loading(config(OWN, wrapped=True), origin)
    check_loading(Config(dict(default_scope='mmdet')), origin)


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize(
    'load',
    [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadImageFromFile', color_type='unchanged'),
        dict(type='LoadMultiChannelImageFromFiles'),
        dict(type='mmsoco.LoadImageFromFile', channels=13),
        {**OWN, 'value_range': 'type'},
        {**OWN, 'channels': 4},
    ],
    ids=str,
)
def test_other_loaders_are_refused(load, wrapped):
    origin = Origin.of(checkpoint())
    words = (
        r"instead of .*Load.*Image.*, dict\(type='mmsoco.LoadImageFromFile', channels=13, value_range=\[0.0, 4000.0\]\)"
    )
    with pytest.raises(UserError, match=f'train_dataloader reads images otherwise .*{words}'):
        check_loading(config(load, wrapped=wrapped), origin)
    with pytest.raises(UserError, match=f'val_dataloader reads .*{words}'):
        check_loading(config(OWN, val=ConfigDict(load)), origin)


def test_deep_rgb_is_read_by_the_same_step():
    origin = Origin(deep=True)
    with pytest.raises(UserError, match="channels=3, value_range='file'"):
        check_loading(config(dict(type='LoadImageFromFile')), origin)
    check_loading(config(dict(type='mmsoco.LoadImageFromFile'), val=dict(type='mmsoco.LoadImageFromFile')), origin)
