# Mask R-CNN with ViTDet's backbone and pyramid, COCO, 12 epochs from SoCo (not in the
# paper); these and the box head are pretrained, by soco_vit-b_*. Rates fall towards the
# input as ViTDet's do for ViT-B (Li et al. 2022: 0.7 a layer). 8 GPUs with 2 images each.
_base_ = ['./mask-rcnn_swin-t-fpn_soco_1x.py', '../../_base_/vit_b.py']

pyramid = dict(type='mmsoco.SimpleFPN', in_channels=768, out_channels=256, num_outs=5, norm_cfg=_base_.norm)
model = dict(backbone=_base_.vit_b, neck=dict(_delete_=True, **pyramid))

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='mmsoco.PretrainOptimConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(layer_decay_rate=0.7, custom_keys=_base_.vit_b_decay),
)
