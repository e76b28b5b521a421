import torch

from mmsoco.models import SimpleFPN


def test_four_levels_of_one_map_and_more():
    torch.manual_seed(0)
    neck = SimpleFPN(16, 8, num_outs=5, norm_cfg=dict(type='BN'))
    maps = neck((torch.zeros(2, 16, 3, 3), torch.randn(2, 16, 14, 10)))
    assert [tuple(m.shape) for m in maps] == [
        (2, 8, 56, 40),
        (2, 8, 28, 20),
        (2, 8, 14, 10),
        (2, 8, 7, 5),
        (2, 8, 4, 3),
    ]
    assert torch.equal(maps[4], maps[3][:, :, ::2, ::2])


def test_names_are_those_of_vitdet():
    """Of mmdet's project: two upsamplings to P2 with a norm between, one to P3."""
    neck = SimpleFPN(16, 8, norm_cfg=dict(type='BN'))
    shapes = {name: tuple(p.shape) for name, p in neck.named_parameters()}
    assert shapes['fpn1.0.weight'] == (16, 8, 2, 2) and shapes['fpn1.3.weight'] == (8, 4, 2, 2)
    assert shapes['fpn1.1.weight'] == (8,) and shapes['fpn2.0.weight'] == (16, 8, 2, 2)
    assert [shapes[f'lateral_convs.{i}.conv.weight'][1] for i in range(4)] == [4, 8, 16, 16]
    assert all(shapes[f'fpn_convs.{i}.conv.weight'] == (8, 8, 3, 3) for i in range(4))
    assert not any('bias' in name for name in shapes if 'convs' in name and 'bn' not in name)
