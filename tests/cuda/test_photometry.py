"""Colours of a batch on the device beside those of the loader."""

import numpy as np
import pytest
import torch
from textures import textured

from mmsoco.datasets.transforms import ColorJitter, GaussianBlur, Grayscale, Solarize
from mmsoco.models.photometry import augment

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
    images = [image for image in shown for _ in range(100)]
    drawn = [[step.draw(rng, 3) for step in chain] for _ in images]
    expected = []
    for image, values in zip(images, drawn, strict=True):
        for step, own in zip(chain, values, strict=True):
            image = step.apply(image, own)
        expected.append(image)
    columns = zip(*drawn, strict=True)
    batch = {
        type(step).__name__: torch.from_numpy(np.stack(values).astype(np.float32)).to(device)
        for step, values in zip(chain, columns, strict=True)
    }
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        found = augment(torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2), batch)
    assert found.device.type == device and found.dtype == torch.float32
    away = np.abs(found.permute(0, 2, 3, 1).cpu().numpy() - np.stack(expected).astype(np.float32))
    assert away.max() <= 2 and (away > 0).mean() < 1e-3
