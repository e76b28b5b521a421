# Mask R-CNN on microscopy images: COCO format, one class. NUCLEI says where they are.
_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', './_base_/small.py']

model = dict(
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    # Anchors from 8 px on: nuclei here measure 5 to 60.
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[2])),
    roi_head=dict(
        bbox_roi_extractor=_base_.small_roi_extractor,
        bbox_head=dict(**_base_.small_box_head, num_classes=1),
        mask_roi_extractor=_base_.small_roi_extractor,
        mask_head=dict(in_channels=64, conv_out_channels=64, num_classes=1, norm_cfg=_base_.norm),
    ),
    train_cfg=_base_.few_boxes,
    test_cfg=_base_.few_proposals,
)

data_root = '{{$NUCLEI:data/nuclei}}/'
metainfo = dict(classes=('nucleus',))
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (256, 256)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (256, 256)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='val.json',
        data_prefix=dict(img='val/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmsoco.CocoMetric', ann_file=data_root + 'val.json')
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=_base_.adamw)
train_cfg = _base_.train_loop
param_scheduler = _base_.warmup_cosine
default_hooks = dict(logger=dict(interval=10), checkpoint=_base_.saving)
log_processor = dict(by_epoch=False, window_size=10)
