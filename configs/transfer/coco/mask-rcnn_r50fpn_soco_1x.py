# Mask R-CNN R50-FPN, COCO, 90k iterations (paper, table 1: box AP 42.3 / 43.0,
# mask AP 37.6 / 38.2 after 100 / 400 epochs of SoCo; 31.0, 28.5 from scratch).
# 8 GPUs with 2 pictures each. The pretraining is given by
# --cfg-options load_from=work_dirs/soco_r50fpn_8xb256_100e_in1k/epoch_100.pth
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

# All norms train and are synchronised, also the new ones (paper, section 4.2).
norm_cfg = dict(type='BN', requires_grad=True)
sync_bn = 'torch'

model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        # The head that was pretrained: 4 convolutions and 1 linear layer.
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(1333, side) for side in range(640, 801, 32)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True), dataset=dict(pipeline=train_pipeline)
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
custom_hooks = [
    dict(type='mmsoco.TransferHook'),
    dict(type='mmsoco.PreciseBNHook', interval=10000, num_iters=200),
]
