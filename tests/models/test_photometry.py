import numpy as np
import pytest
import torch
from both_ways import both_ways
from textures import textured
from torch.utils._python_dispatch import TorchDispatchMode
from waiting import no_waiting

from mmsoco.datasets.transforms import ChannelJitter, ColorJitter, GaussianBlur, Grayscale, Solarize, photometric
from mmsoco.errors import UserError
from mmsoco.models import photometry
from mmsoco.models.photometry import OPERATIONS, augment

SIZE = 48
DRAWS = 150


def pictures(channels=3):
    """Texture, noise, one colour, and nearly grey, where hue jumps."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 251, (SIZE, SIZE, 1)) + rng.integers(0, 5, (SIZE, SIZE, 3))
    shown = [
        textured(SIZE, SIZE),
        rng.integers(0, 256, (SIZE, SIZE, 3)),
        np.full((SIZE, SIZE, 3), (200, 90, 130)),
        grey,
    ]
    return [np.resize(image, (SIZE, SIZE, channels)).astype(np.uint8) for image in shown]


def differences(chain, images=None, seed=0, draws=DRAWS):
    in_loader, on_device = both_ways(chain, images or pictures(), seed, draws)
    return np.abs(in_loader.astype(np.float32) - on_device)


BYOL = [ColorJitter(), Grayscale(), GaussianBlur(prob=0.5), Solarize()]


def test_byols_pictures_are_the_loaders():
    found = differences(BYOL)
    assert found.max() <= 2
    assert (found > 0).mean() < 1e-4
    # Enough was drawn to see all orders.
    orders = {tuple(ColorJitter(1.0).draw(np.random.default_rng(seed), 3)[:, 0]) for seed in range(4 * DRAWS)}
    assert len(orders) == 24


@pytest.mark.parametrize(
    'step',
    [
        Grayscale(0.5),
        GaussianBlur(0.8),
        GaussianBlur(1.0, sigma=(3.0, 4.0)),
        Solarize(0.5),
        Solarize(1.0, 0),
        Solarize(1.0, 77),
    ],
)
def test_each_is_the_loaders_to_the_last_level(step):
    assert differences([step], draws=40).max() == 0


@pytest.mark.parametrize('strengths', [dict(hue=0.5), dict(saturation=1.0), {}])
def test_colours_are_the_loaders(strengths):
    found = differences([ColorJitter(prob=0.9, **strengths)])
    # Where HSV's floating point stands at a half, the loader's may round otherwise.
    assert found.max() <= 2 and (found > 0).mean() < 1e-4


def test_strong_changes_of_every_kind_are_near():
    found = differences([ColorJitter(1.0, 2, 2, 2, 0.5), GaussianBlur(0.5), Solarize(0.5)])
    assert (found > 2).mean() < 1e-5


def test_all_colours_turn_as_in_the_loader():
    """Of each colour, by one turn; all but some of 16.7 million exactly."""
    levels = np.arange(0, 256, 5)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 52, 3).astype(np.uint8)
    for turn in (-0.1, 0.03, 0.4):
        step = ColorJitter(1.0, 0, 0, 0, abs(turn))
        step.steps[3] = step.steps[3][0], (turn, turn)
        found = differences([step], images=[colours[0]], draws=1)
        assert found.max() <= 1 and (found > 0).mean() < 1e-4


@pytest.mark.parametrize('channels', [1, 4, 13])
def test_other_channels_are_the_loaders(channels):
    chain = [ChannelJitter(0.8), GaussianBlur(0.5), Solarize(0.3)]
    found = differences(chain, images=pictures(channels), draws=40)
    assert found.max() <= 1 and (found > 0).mean() < 1e-4


@pytest.mark.parametrize('side', [1, 2, 5])
def test_views_smaller_than_the_blur(side):
    image = textured(SIZE, SIZE)[:side, : side + 1].copy()
    assert differences([GaussianBlur(1.0)], images=[image], draws=20).max() <= 1


def test_means_of_large_views_are_exact():
    """One pixel more than half of them is a level higher: float32 has the mean at the half, and rounds it down."""
    image = np.full((512, 512, 3), 254, np.uint8)
    image.reshape(-1, 3)[: 512 * 256 + 1] = 255
    step = ColorJitter(1.0, 0, 0.9, 0, 0)
    assert differences([step], images=[image], draws=5).max() == 0


def test_no_sum_is_left_to_matrix_products():
    """Which CUDA may compute in TF32, of 10 bits."""

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert func.overloadpacket.__name__ not in ('mm', 'bmm', 'addmm', 'baddbmm', 'addbmm', 'mv', 'dot'), func
            return func(*args, **(kwargs or {}))

    with Products():
        both_ways([*BYOL, ChannelJitter(0.8)], pictures())


def test_autocast_does_not_make_sums_of_half_precision():
    with torch.autocast('cpu', torch.bfloat16):
        assert differences(BYOL, draws=20).max() <= 2


def test_large_batches_are_done_in_parts(monkeypatch):
    _, whole = both_ways(BYOL, pictures(), draws=5)
    monkeypatch.setattr(photometry, 'CHUNK', 7)
    _, parts = both_ways(BYOL, pictures(), draws=5)
    np.testing.assert_array_equal(whole, parts)


def test_what_nothing_was_drawn_for_stays():
    chain = [ColorJitter(0), Grayscale(0), GaussianBlur(0), Solarize(0)]
    in_loader, on_device = both_ways(chain, pictures())
    np.testing.assert_array_equal(in_loader, np.stack(pictures()))
    np.testing.assert_array_equal(on_device, np.stack(pictures()))


def test_the_host_does_not_wait_for_the_device():
    chain = [*BYOL, ChannelJitter(0.8)]
    rng = np.random.default_rng(0)
    drawn = {
        type(step).__name__: torch.from_numpy(np.stack([step.draw(rng, 3) for _ in range(4)])).float() for step in chain
    }
    views = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    with no_waiting():
        augment(views, drawn)


def test_the_loader_and_the_device_know_the_same_steps():
    assert {step.__name__ for step in photometric.BATCHED} == set(OPERATIONS)


def test_unknown_steps_are_refused():
    with pytest.raises(UserError, match=r"Invert cannot be done on the device, .*photometry='loader'"):
        augment(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), {'Invert': torch.zeros(1, 1)})
