import numpy as np
import pytest
import torch

from mmsoco.models import SoCoDataPreprocessor


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
