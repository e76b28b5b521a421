# Faster R-CNN on the photos of playing cards of _base_/cards.py, from random weights.
_base_ = ['../../own/detectors/faster-rcnn_r18fpn_cpu.py', './_base_/cards.py']

model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[8])),
    roi_head=dict(bbox_head=dict(num_classes=6)),
)
train_dataloader = _base_.cards_train
val_dataloader = _base_.cards_test
test_dataloader = _base_.cards_test
val_evaluator = _base_.cards_metric
test_evaluator = _base_.cards_metric
