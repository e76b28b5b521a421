# How a detector is trained on some hundred to some thousand labelled images, on one GPU of 24 GB: 800 px, and SGD as on
# COCO for fewer steps; the rate, made for 16 images a step, is scaled to those that there are. Not run: nobody has
# measured these yet.
_base_ = [
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
    '../../../transfer/_base_/finetuning.py',
]

four_images = dict(batch_size=4, num_workers=4, sampler=_base_.shuffled_forever)
optim_wrapper = _base_.sgd
auto_scale_lr = dict(enable=True, base_batch_size=16)
steps = 9000
train_cfg = dict(**_base_.iterations, max_iters=steps, val_interval=steps)
param_scheduler = [
    dict(_base_.warmup, end=500),
    dict(**_base_.drops, end=steps, milestones=[steps * 2 // 3, steps * 8 // 9]),
]
default_hooks = dict(
    precise_bn=dict(**_base_.precise_bn, interval=steps),
    checkpoint=dict(**_base_.saving, by_epoch=False, interval=1000),
)
log_processor = dict(by_epoch=False)
