# Mask R-CNN R50-FPN, LVIS v1, 180k iterations. 8 GPUs with 2 images each. Images of classes
# that fewer than 1 in 1,000 images have are repeated; mmdet rounds up how often, detectron2
# draws it. The schedule is detectron2's 1x for LVIS, which the paper names; its official
# config trains 90k iterations, with steps at 60k and 80k.
_base_ = ['mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py', '../../_base_/finetuning.py']

model = _base_.mask_rcnn_fpn
env_cfg = _base_.patient

train_dataloader = dict(sampler=_base_.shuffled_forever)
optim_wrapper = _base_.sgd
train_cfg = dict(**_base_.iterations, max_iters=180000, val_interval=30000)
param_scheduler = _base_.steps_180k
default_hooks = dict(
    precise_bn=dict(**_base_.precise_bn, interval=30000),
    checkpoint=dict(**_base_.saving, by_epoch=False, interval=10000),
)
log_processor = dict(by_epoch=False)

# mmdet's, with a numpy that lvis works with.
val_evaluator = dict(type='mmsoco.LVISMetric')
test_evaluator = val_evaluator
