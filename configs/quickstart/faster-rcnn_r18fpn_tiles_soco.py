# Faster R-CNN on the quickstart's tiles, from its pretraining.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

work_folder = 'work_dirs/quickstart'
load_from = f'{work_folder}/pretrain/iter_300.pth'
custom_hooks = [dict(type='mmsoco.TransferHook')]

# The widths of the pretraining.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(
        depth=18,
        base_channels=32,
        stem_channels=32,
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64, norm_cfg=norm_cfg),
    # Anchors from 16 px on: trees here measure 20 to 90.
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            in_channels=64,
            conv_out_channels=64,
            fc_out_channels=256,
            num_classes=1,
            norm_cfg=norm_cfg,
        ),
    ),
    # A tile holds few objects: fewer boxes are sampled, for the sake of CPUs.
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=100), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=100)),
)

metainfo = dict(classes=('tree',))
resize = dict(type='Resize', scale=(256, 256), keep_ratio=True)
pack = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    pack,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='LoadAnnotations', with_bbox=True),
    pack,
]
data = dict(data_root=f'{work_folder}/data/', metainfo=metainfo)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(**data, ann_file='train.json', data_prefix=dict(img='train/'), pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(**data, ann_file='val.json', data_prefix=dict(img='val/'), pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{work_folder}/data/val.json')
test_evaluator = val_evaluator

# AdamW learns faster than SGD where there is only time for some hundred steps.
iterations = 300
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, end=iterations, T_max=iterations - 20, eta_min=1e-6),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(type='mmsoco.CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=10)
randomness = dict(seed=0)
