# Mask R-CNN with the paper's ResNet-50 on the microscopy images, at their own 256 px.
_base_ = ['../own/detectors/mask-rcnn_r50fpn_gpu.py', './_base_/r50.py']

model = dict(
    # Anchors from 8 px on: nuclei here measure 5 to 60.
    rpn_head=dict(anchor_generator=dict(scales=[2])),
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    train_cfg=_base_.few_boxes,
)
nuclei = dict(data_root='{{$NUCLEI:data/nuclei}}/', metainfo=dict(classes=('nucleus',)))
masks = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
resize = dict(type='Resize', scale=(256, 256), keep_ratio=True)
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        **nuclei,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        pipeline=[_base_.load, masks, resize, _base_.flip, _base_.pack],
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **nuclei,
        ann_file='val.json',
        data_prefix=dict(img='val/'),
        pipeline=[_base_.load, resize, masks, _base_.pack_unflipped],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=nuclei['data_root'] + 'val.json')
test_evaluator = val_evaluator
optim_wrapper = _base_.adamw
auto_scale_lr = _base_.rate_as_it_is
steps = 250
train_cfg = dict(max_iters=steps, val_interval=steps)
param_scheduler = [_base_.r50_warmup, dict(**_base_.r50_cosine, end=steps, T_max=steps - 50)]
default_hooks = dict(precise_bn=None, checkpoint=dict(interval=steps))
