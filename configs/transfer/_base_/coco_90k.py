# COCO with masks, 90k iterations, to stand beside one of mmdet's models in a _base_ list.
_base_ = [
    'mmdet::_base_/datasets/coco_instance.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
    './finetuning.py',
]

env_cfg = _base_.patient
train_dataloader = dict(sampler=_base_.shuffled_forever, dataset=dict(pipeline=_base_.masks_640_to_800))
optim_wrapper = _base_.sgd
train_cfg = dict(**_base_.iterations, max_iters=90000, val_interval=10000)
param_scheduler = _base_.steps_90k
default_hooks = dict(
    precise_bn=dict(**_base_.precise_bn, interval=10000),
    checkpoint=dict(**_base_.saving, by_epoch=False, interval=10000),
)
log_processor = dict(by_epoch=False)
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
