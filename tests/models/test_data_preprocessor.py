import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from textures import textured
from torch.utils.data import default_collate
from waiting import no_waiting

from mmsoco.datasets.transforms import MultiViewProposalPipeline, PackViews
from mmsoco.errors import UserError
from mmsoco.models import SoCoDataPreprocessor
from mmsoco.registry import MODELS


def batch():
    rng = np.random.default_rng(0)
    views = {'v1': rng.integers(0, 256, (2, 8, 8, 3), np.uint8), 'v3': rng.integers(0, 256, (2, 4, 4, 3), np.uint8)}
    return {
        'inputs': {name: torch.from_numpy(view) for name, view in views.items()},
        'boxes': {'v1': {'image+v2': torch.zeros(2, 3, 4)}},
        'matches': {'image+v2': {('v1', 'v3'): torch.tensor([3, 2])}},
    }


def test_normalises_rgb_with_imagenet_figures():
    given = batch()
    out = SoCoDataPreprocessor()(given, training=True)
    view = given['inputs']['v1'].double().numpy()
    expected = (view - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    assert out['inputs']['v1'].dtype == torch.float32
    np.testing.assert_allclose(out['inputs']['v1'].permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)
    assert out['boxes']['v1']['image+v2'].shape == (2, 3, 4)


@pytest.mark.parametrize('channels_last', [True, False])
def test_memory_format(channels_last):
    view = SoCoDataPreprocessor(channels_last=channels_last)(batch())['inputs']['v1']
    assert view.shape == (2, 3, 8, 8)
    assert view.is_contiguous(memory_format=torch.channels_last) is channels_last
    assert view.is_contiguous() is not channels_last


def test_leaves_the_batch_as_it_was():
    given = batch()
    SoCoDataPreprocessor()(given)
    assert given['inputs']['v1'].dtype == torch.uint8


def test_says_its_numbers_as_they_were_given():
    said = SoCoDataPreprocessor(mean=(0.1, 2, 3)).describe()
    assert said == dict(mean=[0.1, 2.0, 3.0], std=[58.395, 57.12, 57.375], channels='rgb')


def test_adds_nothing_to_checkpoints():
    assert not SoCoDataPreprocessor().state_dict()


class Negative(BaseTransform):
    """A step of one's own."""

    def transform(self, results):
        return {**results, 'img': 255 - results['img']}


COLOURS = [
    dict(type='mmsoco.ColorJitter'),
    dict(type='mmsoco.Grayscale'),
    dict(type='mmsoco.GaussianBlur', prob=0.5),
    dict(type='mmsoco.Solarize'),
]


def pipeline(photometry, first=(), last=()):
    flip = dict(type='mmsoco.HorizontalFlip')
    augment = [flip, *first, *COLOURS, *last]
    views = dict(
        v1=dict(size=64, augment=augment, jitter=dict(type='mmsoco.BoxJitter')),
        v2=dict(source='v1', size=64, crop=dict(scale=(0.5, 1.0), ratio=(0.75, 1.33)), augment=augment),
        v3=dict(source='v2', size=32, augment=[flip]),
    )
    return MultiViewProposalPipeline(views, [('v1', 'v2'), ('v1', 'v3')], num_proposals=2, photometry=photometry)


def batch_of(steps, count=40):
    proposals = np.array([[4, 4, 30, 30], [10, 8, 50, 36], [0, 0, 90, 70]], np.float32)
    image = textured(80, 100)
    samples = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        results = steps(dict(img=image, proposals=proposals, rng=rng, index=seed))
        # The generator's next value: it stands where it stood.
        samples.append({**PackViews()(results), 'images': rng.random()})
    return default_collate(samples)


@pytest.mark.parametrize('own', [{}, dict(first=[dict(type=Negative)]), dict(last=[dict(type=Negative)])])
def test_both_ways_show_the_same_pictures(own):
    loader, device = (batch_of(pipeline(place, **own)) for place in ('loader', 'device'))
    assert 'augment' not in loader
    # A step that the device does not know keeps all before it in the loader.
    assert set(device.get('augment', {})) == (set() if 'last' in own else {'v1', 'v2'})
    torch.testing.assert_close(loader['images'], device['images'], rtol=0, atol=0)
    torch.testing.assert_close(loader['boxes'], device['boxes'], rtol=0, atol=0)
    preprocessor = SoCoDataPreprocessor()
    for name, view in preprocessor.seen(device).items():
        assert view.dtype == torch.uint8 and view.shape == loader['inputs'][name].shape
        assert (view.int() - loader['inputs'][name].int()).abs().max() <= 2
    ours, theirs = preprocessor(device), preprocessor(loader)
    assert set(ours) == set(theirs)
    for name, view in ours['inputs'].items():
        assert view.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(view, theirs['inputs'][name], rtol=0, atol=2.01 / 57)
    for name in ('v1', 'v2'):
        untouched = (device['inputs'][name] == loader['inputs'][name]).flatten(1).all(1).float().mean()
        assert untouched == 1 if 'last' in own else untouched < 0.5
    again = preprocessor(device)
    assert all(torch.equal(again['inputs'][name], view) for name, view in ours['inputs'].items())


def test_where_it_is_done_is_no_matter_of_the_samples():
    assert pipeline('loader').describe() == pipeline('device').describe()
    with pytest.raises(UserError, match="photometry 'gpu' is unknown; choose one of loader, device"):
        pipeline('gpu')


def test_the_whole_batch_is_prepared_without_waiting():
    given, preprocessor = batch_of(pipeline('device'), 3), SoCoDataPreprocessor()
    with no_waiting():
        preprocessor(given, training=True)


def test_a_model_that_does_not_know_of_drawn_changes_is_refused(tiny_model_cfg):
    """A preprocessor of one's own hands them on, and no method takes them."""
    model = MODELS.build({**tiny_model_cfg, 'data_preprocessor': dict(type='mmsoco.SoCoDataPreprocessor')})
    batch = batch_of(pipeline('device'), 2)
    inputs = model.data_preprocessor(batch)
    with pytest.raises(TypeError, match='augment'):
        model(**{**inputs, 'augment': batch['augment']}, mode='loss')
