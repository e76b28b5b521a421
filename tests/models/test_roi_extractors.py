import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from mmsoco.models import AllLevelsRoIExtractor, ScaleAwareRoIExtractor, assign_levels

SIZES = (48, 96, 192)


def square(side):
    return torch.tensor([0, 0, side, side], dtype=torch.float32)


@pytest.mark.parametrize('level, bound', enumerate(SIZES))
def test_level_at_a_bound_and_one_ulp_either_side(level, bound):
    bound = np.float32(bound)
    below, above = np.nextafter(bound, np.float32(0)), np.nextafter(bound, np.float32(1000))
    boxes = torch.stack([square(float(side)) for side in (below, bound, above)])
    assert assign_levels(boxes, SIZES).tolist() == [level, level, level + 1]


def test_level_depends_on_the_geometric_mean_of_the_sides():
    boxes = torch.tensor([[0, 0, 24, 96], [0, 0, 24, 97], [10, 10, 11, 11], [0, 0, 224, 224]], dtype=torch.float32)
    assert assign_levels(boxes, SIZES).tolist() == [0, 1, 0, 3]


def test_levels_agree_with_the_root_for_random_boxes():
    corners = torch.rand(500, 2, 2, generator=torch.Generator().manual_seed(0)) * 224
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    sides = (boxes[:, 2:] - boxes[:, :2]).double()
    expected = np.searchsorted(SIZES, sides.prod(dim=1).sqrt().numpy(), side='left')
    assert assign_levels(boxes.view(50, 10, 4), SIZES).flatten().tolist() == expected.tolist()


def pyramid(batch=2, channels=3, sides=(28, 14, 7, 4)):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, channels, side, side, generator=generator) for side in sides]


BOXES = torch.tensor(
    [
        [[3.0, 5.0, 40.0, 30.0], [0.0, 0.0, 112.0, 112.0], [20.0, 10.0, 100.0, 90.0]],
        [[0.0, 0.0, 10.0, 10.0], [60.0, 60.0, 61.0, 111.0], [2.0, 2.0, 110.0, 108.0]],
    ]
)


def one_by_one(feats, boxes, max_sizes, view):
    """Each box on its own: level by the root of its area, the map scaled by its true ratio."""
    rows = []
    for image, image_boxes in enumerate(boxes):
        for box in image_boxes:
            size = float((box[2] - box[0]) * (box[3] - box[1])) ** 0.5
            feat = feats[sum(size > bound for bound in max_sizes)]
            scaled = box * feat.shape[-1] / view
            rois = torch.cat([torch.zeros(1), scaled])[None]
            rows.append(roi_align(feat[image : image + 1], rois, 7, sampling_ratio=-1, aligned=True))
    return torch.cat(rows)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_each_box_is_pooled_on_its_level(memory_format):
    # 112 px give a P5 of 4, 28 times smaller: a fixed stride of 32 would be off.
    feats = [feat.contiguous(memory_format=memory_format) for feat in pyramid()]
    pooled = ScaleAwareRoIExtractor(max_sizes=(24, 48, 96))(feats, BOXES, (112, 112))
    torch.testing.assert_close(pooled, one_by_one(feats, BOXES, (24, 48, 96), 112))


def test_every_level_gets_a_gradient_also_without_a_box_on_it():
    feats = [feat.requires_grad_() for feat in pyramid()]
    boxes = torch.tensor([0.0, 0.0, 10.0, 10.0]).expand(2, 3, 4)
    ScaleAwareRoIExtractor()(feats, boxes, (112, 112)).sum().backward()
    assert feats[0].grad.abs().sum() > 0
    for feat in feats[1:]:
        assert feat.grad is not None and not feat.grad.any()


def test_fixed_sampling_ratio_does_not_leak_other_levels():
    feats = pyramid()
    extractor = ScaleAwareRoIExtractor(max_sizes=(24, 48, 96), sampling_ratio=2)
    pooled = extractor(feats, BOXES, (112, 112))
    changed = extractor([feats[0], feats[1], feats[2], feats[3] + 100], BOXES, (112, 112))
    levels = assign_levels(BOXES, (24, 48, 96)).flatten()
    assert torch.equal(pooled[levels < 3], changed[levels < 3])
    assert not torch.equal(pooled[levels == 3], changed[levels == 3])


def test_pools_in_float32_under_autocast():
    feats = pyramid()
    with torch.autocast('cpu', torch.bfloat16):
        pooled = ScaleAwareRoIExtractor()([feat.bfloat16() for feat in feats], BOXES, (112, 112))
    assert pooled.dtype == torch.float32


def test_one_map_for_c4():
    feats = pyramid()[2:3]
    pooled = ScaleAwareRoIExtractor(max_sizes=(), output_size=14)(feats, BOXES, (112, 112))
    assert pooled.shape == (6, 3, 14, 14)


def test_number_of_maps_must_fit():
    with pytest.raises(ValueError, match='3 feature maps given'):
        ScaleAwareRoIExtractor()(pyramid()[:3], BOXES, (112, 112))


def test_integer_levels_change_a_few_boxes_and_no_pooling():
    # Cut to integers and with 1 added, 47.9 px become 48, and 48 become 49.
    boxes = torch.tensor([[[0.0, 0.0, 47.9, 47.9], [0.0, 0.0, 48.0, 48.0], [0.9, 0.9, 48.1, 48.1]]])
    feats = [torch.full((1, 1, 7, 7), float(level)) for level in range(4)]
    exact, official = ScaleAwareRoIExtractor(), ScaleAwareRoIExtractor(integer_levels=True)
    assert exact(feats, boxes, (224, 224))[:, 0, 3, 3].round().tolist() == [0, 0, 0]
    assert official(feats, boxes, (224, 224))[:, 0, 3, 3].round().tolist() == [0, 1, 1]

    generator = torch.Generator().manual_seed(0)
    sides = 224 * (0.3 + 0.5 * torch.rand(1, 4000, 1, generator=generator))
    corners = torch.rand(1, 4000, 2, generator=generator) * (224 - sides)
    boxes = torch.cat([corners, corners + sides], dim=2)
    changed = exact(feats, boxes, (224, 224)).round() != official(feats, boxes, (224, 224)).round()
    assert 0.002 < changed.flatten(1).any(dim=1).float().mean() < 0.03


def test_all_levels_gives_a_row_for_each_level_of_each_box():
    feats = pyramid()
    rows = AllLevelsRoIExtractor()(feats, BOXES, (112, 112)).unflatten(0, (2, 3, 4))
    for level, feat in enumerate(feats):
        alone = ScaleAwareRoIExtractor(max_sizes=())((feat,), BOXES, (112, 112)).unflatten(0, (2, 3))
        torch.testing.assert_close(rows[:, :, level], alone)
