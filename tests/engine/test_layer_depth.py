import mmdet.models
import mmpretrain.models
import pytest
from torch import nn

from mmsoco.engine.layer_depth import depths_by_name, layer_depths

SWIN = dict(embed_dims=16, depths=[2, 1, 3, 1], num_heads=[1, 1, 2, 2])


def test_swin_of_mmdet_is_numbered_as_mmpretrains():
    """Their names are the same but for those of norms."""
    ours, count = layer_depths(mmdet.models.SwinTransformer(**SWIN))
    theirs = mmpretrain.models.SwinTransformer(arch=SWIN | dict(embed_dims=16), out_indices=(0, 1, 2, 3))
    assert count == 9
    shared = [name for name, _ in theirs.named_parameters() if name in ours]
    assert len(shared) > 80
    for name in shared:
        assert (ours[name], count) == theirs.get_layer_depth(f'backbone.{name}', 'backbone.'), name
    # A stage's way to the next one belongs to its last block.
    assert ours['stages.0.downsample.reduction.weight'] == 2 and ours['stages.2.blocks.0.norm1.weight'] == 4
    assert ours['norm0.weight'] == 8 and ours['patch_embed.projection.weight'] == 0


@pytest.mark.parametrize('kind', ['VisionTransformer', 'ViTSAM'])
def test_vit_by_its_own_words_and_by_its_names(kind):
    arch = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16, global_attn_indexes=[2])
    backbone = getattr(mmpretrain.models, kind)(arch=arch, img_size=32)
    depths, count = layer_depths(backbone)
    assert count == 5 and depths['pos_embed'] == depths['patch_embed.projection.weight'] == 0
    assert depths['layers.0.attn.qkv.weight'] == 1 and depths['layers.2.ffn.layers.1.bias'] == 3
    assert depths_by_name([name for name, _ in backbone.named_parameters()]) == (depths, count)


def test_resnet_counts_its_blocks():
    depths, count = layer_depths(mmdet.models.ResNet(18))
    assert count == 10 and [depths[f'layer{i}.1.conv2.weight'] for i in (1, 2, 3, 4)] == [2, 4, 6, 8]
    assert depths['conv1.weight'] == depths['bn1.bias'] == 0 and depths['layer2.0.downsample.0.weight'] == 3


def test_a_backbone_without_blocks_has_one_depth_below_the_rest():
    assert layer_depths(nn.Linear(2, 2)) == ({'weight': 0, 'bias': 0}, 2)
