"""What torchvision, timm and authors call the parameters of a backbone alone, and what mmdet and mmpretrain call them.

ResNets have one set of names everywhere. Those of ConvNeXt and Swin differ, and of Swin the
order in which four neighbours are merged, too, which mmdet's own converter knows.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

from mmsoco.errors import UserError

#: What classifiers and self-supervised methods have after a backbone, by the first part of the names.
_HEADS = ('fc', 'head', 'heads', 'classifier', 'projection_head', 'prototypes', 'predictor', 'head_dist')
_RESNET = ('conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4')

_Rules = Iterable[tuple[str, str | Callable[[re.Match], str]]]
_TORCHVISION_CONVNEXT: _Rules = (
    (r'features\.0\.([01])\.', r'downsample_layers.0.\1.'),
    (r'features\.([246])\.([01])\.', lambda m: f'downsample_layers.{int(m[1]) // 2}.{m[2]}.'),
    (r'features\.([1357])\.(\d+)\.layer_scale', lambda m: f'stages.{int(m[1]) // 2}.{m[2]}.gamma'),
    (r'features\.([1357])\.(\d+)\.block\.', lambda m: f'stages.{int(m[1]) // 2}.{m[2]}.'),
    (r'(stages\.\d+\.\d+\.)0\.', r'\1depthwise_conv.'),
    (r'(stages\.\d+\.\d+\.)2\.', r'\1norm.'),
    (r'(stages\.\d+\.\d+\.)3\.', r'\1pointwise_conv1.'),
    (r'(stages\.\d+\.\d+\.)5\.', r'\1pointwise_conv2.'),
)
# timm's, and the authors' own, of which timm's are made.
_TIMM_CONVNEXT: _Rules = (
    (r'stem\.', 'downsample_layers.0.'),
    (r'stages\.(\d+)\.downsample\.', r'downsample_layers.\1.'),
    (r'stages\.(\d+)\.blocks\.', r'stages.\1.'),
    (r'\.(?:conv_dw|dwconv)\.', '.depthwise_conv.'),
    (r'\.(?:mlp\.fc|pwconv)([12])\.', r'.pointwise_conv\1.'),
)
_TORCHVISION_SWIN: _Rules = (
    (r'features\.0\.0\.', 'patch_embed.proj.'),
    (r'features\.0\.2\.', 'patch_embed.norm.'),
    (r'features\.([246])\.', lambda m: f'layers.{int(m[1]) // 2 - 1}.downsample.'),
    (r'features\.([1357])\.(\d+)\.', lambda m: f'layers.{int(m[1]) // 2}.blocks.{m[2]}.'),
    (r'\.mlp\.0\.', '.mlp.fc1.'),
    (r'\.mlp\.3\.', '.mlp.fc2.'),
)
# timm 0.9 and later put what joins two stages before the second one.
_TIMM_SWIN: _Rules = ((r'layers\.(\d+)\.downsample\.', lambda m: f'layers.{int(m[1]) - 1}.downsample.'),)


#: Why -> (the name that it had -> tensor), for what a backbone has no use for.
_Left = dict[str, dict[str, Tensor]]
OF_A_CLASSIFIER = 'left: of a classifier, or only for pretraining'
OF_THE_WINDOW = "left: follows from the window's size"


def backbone_names(state: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], _Left, str]:
    """Give a backbone's tensors the names that mmdet and mmpretrain have for them.

    Args:
        state: Of a backbone, or a model that is one but for its last layers, in bare names.
        source: Where it came from, for the message.

    Returns:
        Name -> tensor; those of no use; and the family, in words. Those of a family that is not known, ``''``, keep
        their names: they may be mmdet's and mmpretrain's own, or will have no place in a model.

    Raises:
        UserError: It is of a family that mmdet has with other parts.
    """
    if _has(state, r'conv1\.') and _has(state, r'layer1\.0\.'):
        return *_split(state, lambda name: name.partition('.')[0] not in _RESNET), 'ResNet'
    body, left = _split(state, lambda name: name.partition('.')[0] in _HEADS)
    if _has(body, r'features\.\d+\.\d+\.block\.'):
        return {n: _flat_scale(n, t) for n, t in _rename(body, _TORCHVISION_CONVNEXT).items()}, left, 'ConvNeXt'
    if _has(body, r'stages\.\d+\.(blocks\.)?\d+\.(conv_dw|dwconv)\.'):
        body, left = _split(body, lambda name: name.startswith('norm.'), left)
        return _rename(body, _TIMM_CONVNEXT), left, 'ConvNeXt'
    if _has(body, r'(features\.1\.0|layers\.0\.blocks\.0)\.attn\.relative_position_bias_table'):
        return *_swin(body, left), 'Swin'
    if _has(body, r'(blocks\.0\.|encoder\.layers\.encoder_layer_0\.)') and _has(
        body, r'(cls_token|class_token|pos_embed)'
    ):
        raise UserError(
            f'{source} is a ViT of timm, torchvision or the like, and the ViTs here have other positions and windows; '
            "take one in the names of mmpretrain's ViTSAM, or a ResNet, ConvNeXt or Swin"
        )
    return body, left, "in mmdet's names" if _has(body, r'(downsample_layers|stages|layers|patch_embed)\.') else ''


def _swin(body: dict[str, Tensor], left: _Left) -> tuple[dict[str, Tensor], _Left]:
    from mmdet.models.backbones.swin import swin_converter  # takes seconds

    body, left = _split(body, lambda name: name.startswith('norm.'), left)
    body, left = _split(body, lambda name: name.endswith(('index', 'attn_mask')), left, OF_THE_WINDOW)
    body = _rename(body, _TORCHVISION_SWIN if _has(body, r'features\.') else ())
    if not _has(body, r'layers\.0\.downsample\.'):
        body = _rename(body, _TIMM_SWIN)
    return {name.removeprefix('backbone.'): tensor for name, tensor in swin_converter(body).items()}, left


def _has(state: Mapping[str, Tensor], pattern: str) -> bool:
    return any(re.match(pattern, name) for name in state)


def _split(
    state: Mapping[str, Tensor], is_left: Callable[[str], bool], left: _Left | None = None, why: str = OF_A_CLASSIFIER
) -> tuple[dict[str, Tensor], _Left]:
    """What stays, and what has been left with what is."""
    out = {name: tensor for name, tensor in state.items() if is_left(name)}
    left = dict(left or {})
    if out:
        left[why] = {**left.get(why, {}), **out}
    return {name: tensor for name, tensor in state.items() if name not in out}, left


def _rename(state: Mapping[str, Tensor], rules: _Rules) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for pattern, new in rules:
            name = re.sub(rf'^{pattern}' if not pattern.startswith(r'\.') else pattern, new, name)
        renamed[name] = tensor
    return renamed


def _flat_scale(name: str, tensor: Tensor) -> Tensor:
    """torchvision has it as (C, 1, 1)."""
    return tensor.flatten() if name.endswith('.gamma') else tensor
