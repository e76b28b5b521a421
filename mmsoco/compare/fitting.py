"""A detector that a pretraining fits, in every arm alike."""

from collections.abc import Iterator, Mapping

from mmengine.config import Config

from mmsoco.compare.schedules import bare_type

_NORM = dict(type='BN', requires_grad=True)
#: Backbones that have BN and mmdet's ways to freeze it, and keep its statistics unless they are told not to.
_RESNETS = ('ResNet', 'ResNeXt', 'ResNetV1d', 'Res2Net', 'ResNeSt')
#: What lets the whole of another backbone train.
_LEARNING = dict(frozen_stages=-1, norm_eval=False)
#: Box heads that a pretrained one takes the place of.
_BOX_HEADS = ('Shared2FCBBoxHead', 'Shared4Conv1FCBBoxHead', 'ConvFCBBoxHead')
_IMAGES = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


def fit_norms(cfg: Config) -> list[str]:
    """Give a detector the norms and the box head of a pretraining, as docs/transfer.md says, and let all of it train.

    Args:
        cfg: Of a detector, or of a model that wraps one; changed in place.

    Returns:
        What was set.
    """
    said = []
    for model in detectors(cfg.model):
        backbone = model['backbone']
        if bare_type(backbone) in _RESNETS:
            caffe = backbone.get('style') == 'caffe'
            backbone.update(norm_cfg=_NORM, norm_eval=False, frozen_stages=-1, style='pytorch', init_cfg=None)
            said.append('backbone: BN that trains, nothing frozen')
            if caffe and 'data_preprocessor' in model:
                model['data_preprocessor'].update(_IMAGES)
                said.append('images: RGB, with mean and deviation of ImageNet')
        elif frozen := {key: value for key, value in _LEARNING.items() if backbone.get(key, value) != value}:
            backbone.update(frozen)
            said.append(f'backbone: {", ".join(f"{key}={value}" for key, value in frozen.items())}')
        neck = model.get('neck')
        if isinstance(neck, Mapping) and bare_type(neck) == 'FPN':
            neck.update(norm_cfg=_NORM)
            said.append('FPN: BN')
        heads = (model.get('roi_head') or {}).get('bbox_head') or []
        for head in heads if isinstance(heads, list) else [heads]:
            if bare_type(head) in _BOX_HEADS:
                channels = head.get('in_channels', 256)
                head.update(type='Shared4Conv1FCBBoxHead', conv_out_channels=channels, norm_cfg=_NORM)
                said.append('box head: 4 convolutions with BN and 1 linear layer')
    if cfg.get('sync_bn') is None:
        cfg.sync_bn = 'mmsoco'
    return list(dict.fromkeys(said))


def detectors(model: Mapping) -> Iterator[Mapping]:
    """The parts of a model's config that have a backbone."""
    if isinstance(model.get('backbone'), Mapping):
        yield model
    elif isinstance(model.get('detector'), Mapping):
        yield from detectors(model['detector'])
