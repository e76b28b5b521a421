# Mask R-CNN R50-FPN, COCO, 90k iterations (paper, table 1: box AP 42.3 / 43.0, mask
# AP 37.6 / 38.2 after 100 / 400 epochs of SoCo, 43.2 and 38.4 after 400 of SoCo*).
# 8 GPUs with 2 pictures each.
_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '../_base_/finetuning.py']

model = dict(
    backbone=_base_.whole_backbone,
    neck=dict(norm_cfg=_base_.norm),
    roi_head=dict(
        # The head that was pretrained: 4 convolutions and 1 linear layer.
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=_base_.norm),
        mask_head=dict(norm_cfg=_base_.norm),
    ),
)

pipeline = _base_.train_pipeline
pipeline[2] = _base_.short_side_640_to_800
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True), dataset=dict(pipeline=pipeline)
)

optim_wrapper = dict(
    optimizer=dict(lr=0.02, momentum=0.9, weight_decay=2.5e-5),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=90000, val_interval=10000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=90000, milestones=[60000, 80000], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(type='mmsoco.CheckpointHook', by_epoch=False, interval=10000, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
