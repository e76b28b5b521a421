# FCOS R50-FPN, COCO, 12 epochs from random weights (not in the paper). Schedule and optimizer
# are mmdet's, but images are RGB, with the pretraining's mean and standard deviation. 8 GPUs
# with 2 images each.
_base_ = ['mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', '../_base_/finetuning.py']

model = dict(data_preprocessor=_base_.images, backbone=_base_.whole_backbone, neck=dict(norm_cfg=_base_.norm))

default_hooks = dict(
    precise_bn=dict(**_base_.precise_bn, by_epoch=True, interval=1), checkpoint=dict(**_base_.saving, interval=1)
)
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
