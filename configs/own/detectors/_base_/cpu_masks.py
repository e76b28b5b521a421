# The same with masks.
_base_ = ['mmdet::_base_/datasets/coco_instance.py', './cpu.py']

masks = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_dataloader = dict(
    **_base_.small_batches,
    dataset=dict(pipeline=[_base_.load, masks, _base_.resize, _base_.flip, _base_.pack]),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(pipeline=[_base_.load, _base_.resize, masks, _base_.pack_unflipped]),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = val_evaluator
