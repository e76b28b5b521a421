# FCOS R50-FPN, COCO, 12 epochs (paper, table 7: box AP 37.4 after 400 epochs of
# SoCo*). Schedule and optimizer are mmdet's; backbone and FPN are pretrained, and so
# images are RGB, with the pretraining's mean and standard deviation. 8 GPUs with 2
# images each.
_base_ = ['mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', '../_base_/finetuning.py']

model = dict(data_preprocessor=_base_.images, backbone=_base_.whole_backbone, neck=dict(norm_cfg=_base_.norm))

custom_hooks = _base_.custom_hooks
custom_hooks[1].update(by_epoch=True, interval=1)
default_hooks = dict(checkpoint=dict(type='mmsoco.CheckpointHook', interval=1, max_keep_ckpts=2))
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
