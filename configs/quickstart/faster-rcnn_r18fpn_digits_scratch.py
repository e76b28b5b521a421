# Faster R-CNN on the quickstart's labelled sheets, from random weights.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

work_folder = 'work_dirs/quickstart'

# The widths of the pretraining.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(
        depth=18,
        base_channels=16,
        stem_channels=16,
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32, norm_cfg=norm_cfg),
    # Anchors from 16 px on: digits here measure 15 to 45.
    rpn_head=dict(in_channels=32, feat_channels=32, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=256,
            num_classes=10,
            norm_cfg=norm_cfg,
        ),
    ),
    # A sheet holds few objects: fewer boxes are sampled, for the sake of CPUs.
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=100), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=100)),
)

load = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
]
pack = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
train_pipeline = [*load, dict(type='PhotoMetricDistortion'), pack]
test_pipeline = [*load, pack]
data = dict(data_root=f'{work_folder}/data/', metainfo=dict(classes=tuple('0123456789')))
train_dataloader = dict(
    batch_size=8,
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
iterations = 200
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))
auto_scale_lr = dict(base_batch_size=8)  # one process
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
