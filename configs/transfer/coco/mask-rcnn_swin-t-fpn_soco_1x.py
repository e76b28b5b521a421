# Mask R-CNN Swin-T-FPN, COCO, 12 epochs from SoCo (not in the paper). Schedule and optimizer
# are mmdet's; backbone, FPN and box head are pretrained, by soco_swin-t-fpn_*. 8 GPUs with
# 2 images each.
_base_ = ['mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py', '../_base_/finetuning.py']

model = dict(
    backbone=dict(convert_weights=False, init_cfg=None),
    neck=dict(norm_cfg=_base_.norm),
    roi_head=dict(bbox_head=_base_.four_conv_head, mask_head=dict(norm_cfg=_base_.norm)),
)

default_hooks = dict(
    transfer=dict(type='mmsoco.TransferHook'),
    precise_bn=dict(**_base_.precise_bn, by_epoch=True, interval=1),
    checkpoint=dict(**_base_.saving, interval=1),
)
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
