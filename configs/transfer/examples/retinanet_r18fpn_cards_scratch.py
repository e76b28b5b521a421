# RetinaNet on the photos of playing cards of _base_/cards.py, from random weights.
_base_ = ['../../own/detectors/retinanet_r18fpn_cpu.py', './_base_/cards.py']

model = dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=4), num_classes=6))
train_dataloader = _base_.cards_train
val_dataloader = _base_.cards_test
test_dataloader = _base_.cards_test
val_evaluator = _base_.cards_metric
test_evaluator = _base_.cards_metric
