"""Colours of a batch on the device beside those of the loader."""

import numpy as np
import pytest
import torch
from both_ways import both_ways
from textures import textured

from mmsoco.datasets.transforms import ColorJitter, GaussianBlur, Grayscale, Solarize

SIZE = 48


@pytest.fixture(params=[False, True], ids=['float32', 'TF32 allowed'])
def tf32(request):
    """Whether products of float32 may be computed in it."""
    places = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = request.param
    yield
    for place, allowed in zip(places, before, strict=True):
        place.allow_tf32 = allowed


@pytest.mark.parametrize('autocast', [False, True])
def test_pictures_are_the_loaders(device, tf32, autocast):
    chain = [ColorJitter(), Grayscale(), GaussianBlur(prob=0.5), Solarize()]
    rng = np.random.default_rng(0)
    shown = [textured(SIZE, SIZE), rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)]
    in_loader, on_device = both_ways(chain, shown, draws=100, device=device, autocast=autocast)
    away = np.abs(on_device - in_loader.astype(np.float32))
    assert away.max() <= 2 and (away > 0).mean() < 1e-3
