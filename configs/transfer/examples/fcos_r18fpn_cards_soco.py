# FCOS on the photos of playing cards, as _base_/cards.py has them.
_base_ = ['mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', './_base_/small.py', './_base_/cards.py']

model = dict(
    data_preprocessor=_base_.images,
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2, num_classes=6),
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
