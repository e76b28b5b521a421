# Mask R-CNN R50-FPN, LVIS v1, 180k iterations (paper, table 6: box AP 26.3, mask AP 25.0
# after 400 epochs of SoCo*). 8 GPUs with 2 images each. Images of classes that fewer
# than 1 in 1,000 images have are repeated; mmdet rounds up how often, detectron2 draws
# it. The schedule is detectron2's 1x for LVIS, which the paper names; its released config
# trains 90k iterations, with steps at 60k and 80k.
_base_ = ['mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py', '../_base_/finetuning.py']

model = _base_.mask_rcnn_fpn

train_dataloader = dict(sampler=_base_.shuffled_forever)
optim_wrapper = _base_.sgd
train_cfg = _base_.iterations_90k
train_cfg.update(max_iters=180000, val_interval=30000)
param_scheduler = _base_.steps_90k
param_scheduler[1].update(end=180000, milestones=[120000, 160000])
custom_hooks = _base_.custom_hooks
custom_hooks[1].update(interval=30000)
default_hooks = dict(checkpoint=_base_.saving)
log_processor = dict(by_epoch=False)

# mmdet's, with a numpy that lvis works with.
val_evaluator = dict(type='mmsoco.LVISMetric')
test_evaluator = val_evaluator
