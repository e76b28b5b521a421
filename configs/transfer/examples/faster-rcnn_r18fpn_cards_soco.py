# Faster R-CNN on the photos of playing cards, as _base_/cards.py has them.
_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './_base_/small.py', './_base_/cards.py']

model = dict(
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=_base_.small_roi_extractor,
        bbox_head=dict(**_base_.small_box_head, num_classes=6),
    ),
    train_cfg=_base_.few_boxes,
    test_cfg=_base_.few_proposals,
)

train_dataloader = _base_.cards_train
val_dataloader = _base_.cards_test
test_dataloader = _base_.cards_test
val_evaluator = _base_.cards_metric
test_evaluator = _base_.cards_metric

optim_wrapper = dict(optimizer=_base_.adamw)
train_cfg = _base_.train_loop
param_scheduler = _base_.warmup_cosine
default_hooks = dict(logger=dict(interval=10), checkpoint=_base_.saving)
log_processor = dict(by_epoch=False, window_size=10)
