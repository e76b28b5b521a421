# Faster R-CNN with the paper's ResNet-50 on the photos of playing cards, at the photos' own 480 px.
_base_ = ['../own/detectors/faster-rcnn_r50fpn_gpu.py', '../transfer/examples/_base_/cards.py', './_base_/r50.py']

model = dict(roi_head=dict(bbox_head=dict(num_classes=6)), train_cfg=_base_.few_boxes)
boxes = dict(type='LoadAnnotations', with_bbox=True)
resize = dict(type='Resize', scale=(480, 480), keep_ratio=True)
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(**_base_.cards_train['dataset'], pipeline=[_base_.load, boxes, resize, _base_.flip, _base_.pack]),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(**_base_.cards_test['dataset'], pipeline=[_base_.load, resize, boxes, _base_.pack_unflipped]),
)
test_dataloader = val_dataloader
val_evaluator = _base_.cards_metric
test_evaluator = _base_.cards_metric
optim_wrapper = _base_.adamw
auto_scale_lr = _base_.rate_as_it_is
steps = 500
train_cfg = dict(max_iters=steps, val_interval=steps)
param_scheduler = [_base_.r50_warmup, dict(**_base_.r50_cosine, end=steps, T_max=steps - 50)]
default_hooks = dict(precise_bn=None, checkpoint=dict(interval=steps))
