# RetinaNet R50-FPN, COCO, 12 epochs (paper, table 7: box AP 38.3 after 400 epochs of
# SoCo*). Schedule and optimizer are mmdet's; backbone and FPN are pretrained.
# 8 GPUs with 2 images each.
_base_ = ['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', '../_base_/finetuning.py']

model = dict(backbone=_base_.whole_backbone, neck=dict(norm_cfg=_base_.norm))

custom_hooks = _base_.custom_hooks
custom_hooks[1].update(by_epoch=True, interval=1)
default_hooks = dict(checkpoint=dict(type='mmsoco.CheckpointHook', interval=1, max_keep_ckpts=2))
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
