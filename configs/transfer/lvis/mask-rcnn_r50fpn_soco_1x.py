# Mask R-CNN R50-FPN, LVIS v1, 180k iterations (paper, table 6: box AP 26.3, mask AP 25.0
# after 400 epochs of SoCo*). 8 GPUs with 2 pictures each. Pictures of classes that fewer
# than 1 in 1,000 pictures have are repeated; mmdet rounds up how often, detectron2 draws
# it. The schedule is detectron2's 1x for LVIS, which the paper names; its released config
# trains 90k iterations, with steps at 60k and 80k.
_base_ = ['mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py', '../_base_/finetuning.py']

model = dict(
    backbone=_base_.whole_backbone,
    neck=dict(norm_cfg=_base_.norm),
    roi_head=dict(
        # The head that was pretrained: 4 convolutions and 1 linear layer.
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=_base_.norm),
        mask_head=dict(norm_cfg=_base_.norm),
    ),
)

train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))

optim_wrapper = dict(
    optimizer=dict(lr=0.02, momentum=0.9, weight_decay=2.5e-5),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=180000, val_interval=30000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=180000, milestones=[120000, 160000], gamma=0.1),
]
custom_hooks = _base_.custom_hooks
custom_hooks[1].update(interval=30000)
default_hooks = dict(checkpoint=dict(type='mmsoco.CheckpointHook', by_epoch=False, interval=10000, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)

# mmdet's, with a numpy that lvis works with.
val_evaluator = dict(type='mmsoco.LVISMetric')
test_evaluator = val_evaluator
