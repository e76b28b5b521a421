import pytest
import torch
from mmengine.registry import DefaultScope

from mmsoco.checkpoints.transfer import plan_transfer
from mmsoco.checkpoints.widening import channels_differ, first_convolution, widened

BACKBONES = {
    'conv1': dict(type='mmdet.ResNet', depth=18, base_channels=8, stem_channels=8),
    'stem.0': dict(type='mmdet.ResNet', depth=18, base_channels=8, stem_channels=8, deep_stem=True),
    'conv1 ': dict(type='mmpretrain.ResNet', depth=18),
    'downsample_layers.0.0': dict(type='mmpretrain.ConvNeXt', arch=dict(depths=[1] * 4, channels=[8] * 4)),
    'patch_embed.projection': dict(
        type='mmpretrain.SwinTransformer', arch=dict(embed_dims=8, depths=[1] * 4, num_heads=[1] * 4)
    ),
    'patch_embed.projection ': dict(
        type='mmpretrain.ViTSAM',
        arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8, global_attn_indexes=[0]),
    ),
}


@pytest.mark.parametrize('place', BACKBONES)
def test_the_first_convolution_of_each_family_follows_in_channels(place):
    from mmdet.registry import MODELS

    states = []
    for channels in (3, 13):
        with DefaultScope.overwrite_default_scope('mmdet'):
            backbone = MODELS.build({**BACKBONES[place], 'in_channels': channels})
        states.append({f'backbone.{name}': tensor for name, tensor in backbone.state_dict().items()})
    name = first_convolution(states[0])
    assert name == f'backbone.{place.strip()}.weight' and states[1][name].shape[1] == 13
    assert channels_differ(*states) == (3, 13) and channels_differ(states[0], states[0]) is None


def test_repeated_in_turn_and_scaled():
    weight = torch.arange(2 * 3.0).reshape(2, 3, 1, 1)
    assert widened(weight, 4)[0].flatten().tolist() == pytest.approx([0, 0.75, 1.5, 0])
    assert widened(weight, 2)[1].flatten().tolist() == pytest.approx([4.5, 6])
    assert widened(weight, 1).flatten().tolist() == [3, 12]
    assert torch.equal(widened(weight, 3), weight)
    # What is grey in three channels answers the same in thirteen, up to the remainder of 13 / 3.
    wide = widened(torch.ones(5, 3, 7, 7), 13)
    assert wide.shape == (5, 13, 7, 7) and torch.allclose(wide.sum(dim=1), torch.full((5, 7, 7), 3.0))


def states(channels, own=3):
    other = torch.rand(4, 8, 3, 3)
    return [{'backbone.conv1.weight': torch.rand(8, n, 7, 7), 'backbone.layer1.0.conv1.weight': other}
            for n in (own, channels)]  # fmt: skip


def test_weights_are_widened_when_asked_for_and_refused_else():
    pretrained, model = states(5)
    refused = plan_transfer(pretrained, model)
    assert "have 3 channels, the model's 5; give its backbone in_channels=3" in refused.problems[0]
    assert 'TransferHook(widen=True)' in refused.problems[0] and 'backbone.conv1.weight' not in refused.loaded
    transfer = plan_transfer(pretrained, model, widen=True)
    assert not transfer.problems
    assert torch.equal(transfer.loaded['backbone.conv1.weight'], widened(pretrained['backbone.conv1.weight'], 5))
    assert transfer.loaded['backbone.layer1.0.conv1.weight'] is pretrained['backbone.layer1.0.conv1.weight']
    assert pretrained['backbone.conv1.weight'].shape[1] == 3


def test_only_channels_are_widened():
    pretrained, model = states(5)
    model['backbone.conv1.weight'] = torch.rand(8, 5, 3, 3)
    problems = plan_transfer(pretrained, model, widen=True).problems
    assert any('(8, 5, 3, 3) in the model' in line for line in problems)


def test_files_may_have_another_order():
    """As .safetensors have, which are sorted by name: the model says which is first."""
    model = {'backbone.stem.weight': torch.ones(8, 4, 4, 4), 'backbone.stages.weight': torch.ones(8, 1, 7, 7)}
    file = {'backbone.stages.weight': torch.ones(8, 1, 7, 7), 'backbone.stem.weight': torch.ones(8, 3, 4, 4)}
    assert channels_differ(file, model) == (3, 4)
    transfer = plan_transfer(file, model, widen=True)
    assert not transfer.problems and transfer.loaded['backbone.stem.weight'].shape == (8, 4, 4, 4)
