# For boxes: images of 256 px, four a step. The paths are mmdet's, of COCO; tools/compare.py --train, --val give others.
_base_ = ['mmdet::_base_/datasets/coco_detection.py', './cpu.py']

boxes = dict(type='LoadAnnotations', with_bbox=True)
train_dataloader = dict(
    **_base_.small_batches,
    dataset=dict(pipeline=[_base_.load, boxes, _base_.resize, _base_.flip, _base_.pack]),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(pipeline=[_base_.load, _base_.resize, boxes, _base_.pack_unflipped]),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = val_evaluator
