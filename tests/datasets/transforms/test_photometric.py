import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter
from textures import textured
from torchvision.transforms import functional

from mmsoco.datasets.transforms import (
    BoxCutout,
    ChannelJitter,
    ColorJitter,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Solarize,
)
from mmsoco.datasets.transforms.photometric import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gaussian_radius,
    gaussian_weights,
    split_steps,
)
from mmsoco.registry import TRANSFORMS

#: Mean absolute difference, in levels of 255, that counts as equal.
BOUND = 2


IMAGE = textured(150, 200)


def apply(transform, image=IMAGE, seed=0):
    return transform(dict(img=image, boxes={}, rng=np.random.default_rng(seed)))['img']


def difference(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.abs(a.astype(int) - b.astype(int)).mean()


def assert_matches(result, reference):
    assert difference(result, reference) < BOUND
    assert difference(IMAGE, reference) > BOUND  # doing nothing would be noticed


@pytest.mark.parametrize(
    ('adjust', 'reference', 'values'),
    [
        (adjust_brightness, functional.adjust_brightness, (0.6, 1.4)),
        (adjust_contrast, functional.adjust_contrast, (0.6, 1.4)),
        (adjust_saturation, functional.adjust_saturation, (0.8, 1.2)),
        (adjust_hue, functional.adjust_hue, (-0.1, 0.1)),
    ],
)
def test_colour_changes_are_torchvisions(adjust, reference, values):
    for value in values:
        assert_matches(adjust(IMAGE, value), reference(Image.fromarray(IMAGE), value))


@pytest.mark.parametrize('adjust', [adjust_brightness, adjust_contrast, adjust_saturation])
def test_factor_1_changes_nothing(adjust):
    np.testing.assert_array_equal(adjust(IMAGE, 1.0), IMAGE)


def test_grayscale_is_torchvisions():
    assert_matches(apply(Grayscale(prob=1.0)), functional.rgb_to_grayscale(Image.fromarray(IMAGE), 3))


@pytest.mark.parametrize('sigma', [0.5, 2.0])
def test_blur_is_pillows(sigma):
    reference = Image.fromarray(IMAGE).filter(ImageFilter.GaussianBlur(radius=sigma))
    assert_matches(apply(GaussianBlur(prob=1.0, sigma=(sigma, sigma))), reference)


@pytest.mark.parametrize('threshold', [128, 60, 255, 0])
def test_solarize_is_torchvisions(threshold):
    reference = functional.solarize(Image.fromarray(IMAGE), threshold)
    np.testing.assert_array_equal(apply(Solarize(prob=1.0, threshold=threshold)), np.asarray(reference))


def test_solarize_inverts_from_the_threshold_on():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    result = apply(Solarize(prob=1.0, threshold=100), levels)[..., 0].ravel()
    assert result.tolist() == [*range(100), *(255 - level for level in range(100, 256))]


def test_blur_strength_is_drawn_from_its_range():
    """The variance that is left falls with sigma: the two ends of the range bound all draws."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    weak, strong = (apply(GaussianBlur(1.0, (s, s)), noise).std() for s in (0.4, 2.0))
    left = [apply(GaussianBlur(1.0, (0.4, 2.0)), noise, seed).std() for seed in range(2000)]
    assert strong - 1e-6 <= min(left) and max(left) <= weak + 1e-6
    assert min(left) < strong + 0.1 * (weak - strong) and max(left) > weak - 0.2 * (weak - strong)


@pytest.mark.parametrize(
    ('index', 'argument', 'value', 'low', 'high'),
    [
        (0, 'brightness', 0.4, 0.6, 1.4),
        (1, 'contrast', 0.4, 0.6, 1.4),
        (2, 'saturation', 0.2, 0.8, 1.2),
        (3, 'hue', 0.1, -0.1, 0.1),
        (0, 'brightness', 1.5, 0.0, 2.5),
    ],
)
def test_each_strength_is_drawn_from_its_range(index, argument, value, low, high):
    jitter = ColorJitter(**{'prob': 1.0, argument: value})
    used = []
    adjust, bounds = jitter.steps[index]
    jitter.steps[index] = lambda img, factor: used.append(factor) or adjust(img, factor), bounds
    tiny = IMAGE[:2, :2]
    for seed in range(2000):
        apply(jitter, tiny, seed)
    assert len(used) == 2000
    used = (np.array(used) - low) / (high - low)
    assert 0 <= used.min() < 0.02 and 0.98 < used.max() <= 1
    assert used.mean() == pytest.approx(0.5, abs=0.03)


def test_the_order_of_the_changes_is_random():
    jitter = ColorJitter(prob=1.0)
    order = []

    def recording(number, adjust):
        return lambda img, factor: order.append(number) or adjust(img, factor)

    jitter.steps = [(recording(number, adjust), bounds) for number, (adjust, bounds) in enumerate(jitter.steps)]
    orders = []
    for seed in range(400):
        order.clear()
        apply(jitter, IMAGE[:2, :2], seed)
        orders.append(tuple(order))
    assert all(sorted(o) == [0, 1, 2, 3] for o in orders)
    assert len(set(orders)) == 24
    first = np.bincount([o[0] for o in orders], minlength=4)
    np.testing.assert_allclose(first, 100, atol=45)


def test_colour_jitter_of_no_strength_changes_nothing_but_rounding():
    jitter = ColorJitter(prob=1.0, brightness=0, contrast=0, saturation=0, hue=0)
    # From RGB to 8-bit HSV and back, as in Pillow.
    assert 0 < difference(apply(jitter), IMAGE) < 1


@pytest.mark.parametrize(
    ('make', 'probability'),
    [
        (lambda prob: ColorJitter(prob=prob), 0.8),
        (lambda prob: Grayscale(prob=prob), 0.2),
        (lambda prob: GaussianBlur(prob=prob, sigma=(1.0, 2.0)), 0.1),
        (lambda prob: Solarize(prob=prob), 0.2),
    ],
)
def test_each_follows_its_probability(make, probability):
    tiny = np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for prob in (probability, 0.0, 1.0):
        transform = make(prob)
        changed = [not np.array_equal(transform(dict(img=tiny, boxes={}, rng=rng))['img'], tiny) for _ in range(2000)]
        spread = np.sqrt(prob * (1 - prob) / 2000)
        assert np.mean(changed) == pytest.approx(prob, abs=5 * spread + 1e-9)


def test_the_defaults_are_byols():
    assert ColorJitter().prob == 0.8
    assert [bounds for _, bounds in ColorJitter().steps] == [(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]
    assert Grayscale().prob == Solarize().prob == 0.2
    assert GaussianBlur(prob=1.0).sigma == (0.1, 2.0)


ALL = [
    ColorJitter(prob=1.0),
    Grayscale(prob=1.0),
    GaussianBlur(prob=1.0, sigma=(1.0, 1.0)),
    Solarize(prob=1.0),
]


@pytest.mark.parametrize('transform', ALL, ids=lambda transform: type(transform).__name__)
def test_a_mirrored_image_is_treated_like_any_other(transform):
    """HorizontalFlip hands on a view of the array with a negative stride."""
    np.testing.assert_array_equal(
        apply(transform, IMAGE[:, ::-1]), apply(transform, np.ascontiguousarray(IMAGE[:, ::-1]))
    )


@pytest.mark.parametrize('transform', ALL, ids=lambda transform: type(transform).__name__)
def test_the_callers_image_is_not_changed(transform):
    image = IMAGE.copy()
    result = apply(transform, image)
    np.testing.assert_array_equal(image, IMAGE)
    assert result.shape == image.shape and result.dtype == np.uint8


@pytest.mark.parametrize('name', ['ColorJitter', 'Grayscale', 'GaussianBlur', 'Solarize'])
def test_the_registry_knows_the_name(name):
    assert type(TRANSFORMS.build(dict(type=f'mmsoco.{name}', prob=0.3))).__name__ == name


def test_the_dice_are_those_of_earlier_versions():
    """In this order: so a seed's samples stay what they were."""
    drawing, dice = (np.random.default_rng(3) for _ in range(2))
    for _ in range(50):
        jitter = ColorJitter().draw(drawing, 3)
        if dice.random() < 0.8:
            bounds = [(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]
            assert jitter.tolist() == [[i, dice.uniform(*bounds[i])] for i in dice.permutation(4)]
        else:
            assert (jitter == -1).all()
        assert Grayscale().draw(drawing, 3)[0] == (dice.random() < 0.2)
        blur = GaussianBlur(0.5).draw(drawing, 3)
        expected = gaussian_weights(dice.uniform(0.1, 2.0), 6) if dice.random() < 0.5 else [1, 0, 0, 0, 0, 0, 0]
        assert blur.tolist() == list(expected)
        assert Solarize(0.2, 100).draw(drawing, 3)[0] == (100 if dice.random() < 0.2 else 256)
        channels = ChannelJitter().draw(drawing, 5)
        if dice.random() < 0.8:
            assert channels.tolist() == [[i, *dice.uniform(0.6, 1.4, 5)] for i in dice.permutation(2)]
        else:
            assert (channels == -1).all()
    assert drawing.random() == dice.random()


@pytest.mark.parametrize('factor', [0.0, 0.6, 0.8123, 1.2, 1.4, 2.0])
def test_colours_are_exact_to_a_level(factor):
    """Of what real numbers would give, rounded once, also where values are cut off."""
    img = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    x = img.astype(float)
    grey = x @ [0.299, 0.587, 0.114]
    expected = {
        adjust_brightness: x * factor,
        adjust_contrast: np.rint(grey.mean()) + (x - np.rint(grey.mean())) * factor,
        adjust_saturation: grey[..., None] + (x - grey[..., None]) * factor,
    }
    for adjust, values in expected.items():
        assert np.abs(adjust(img, factor) - np.clip(np.rint(values), 0, 255)).max() <= 1


@pytest.mark.parametrize('sigma', [0.1, 0.29, 0.5, 1.0, 1.37, 2.0, 5.0])
def test_blur_is_opencvs_to_a_level(sigma):
    noise = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    result = apply(GaussianBlur(1.0, (sigma, sigma)), noise)
    assert np.abs(result.astype(int) - cv2.GaussianBlur(noise, (0, 0), sigma)).max() <= 1
    weights = gaussian_weights(sigma, gaussian_radius(sigma))
    assert weights[0] + 2 * weights[1:].sum() == 1
    flat = np.full((20, 20, 3), 201, np.uint8)
    np.testing.assert_array_equal(apply(GaussianBlur(1.0, (sigma, sigma)), flat), flat)


class OtherSolarize(Solarize):
    def transform(self, results):
        return {**results, 'img': 255 - results['img']}


def test_the_device_gets_the_last_steps_that_it_knows():
    flip, jitter, grey, blur, solarize = HorizontalFlip(), ColorJitter(), Grayscale(), GaussianBlur(0.5), Solarize()
    cutout, other, again = BoxCutout(), OtherSolarize(), GaussianBlur(0.1)
    cases = [
        ([flip, jitter, grey, blur, solarize], 1),
        ([jitter, flip, grey], 2),
        ([flip, jitter, cutout], 3),
        ([jitter, other, grey, blur], 2),
        ([blur, grey, again], 1),
        ([], 0),
        ([jitter], 0),
        ([flip], 1),
    ]
    for steps, count in cases:
        assert split_steps(steps) == (steps[:count], steps[count:])
