# Mask R-CNN R50-FPN, COCO, 90k iterations (paper, table 1: box AP 42.3 / 43.0, mask
# AP 37.6 / 38.2 after 100 / 400 epochs of SoCo, 43.2 and 38.4 after 400 of SoCo*).
# 8 GPUs with 2 images each.
_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '../_base_/finetuning.py']

model = _base_.mask_rcnn_fpn

pipeline = _base_.train_pipeline
pipeline[2] = _base_.short_side_640_to_800
train_dataloader = dict(sampler=_base_.shuffled_forever, dataset=dict(pipeline=pipeline))
optim_wrapper = _base_.sgd
train_cfg = _base_.iterations_90k
param_scheduler = _base_.steps_90k
default_hooks = dict(checkpoint=_base_.saving)
log_processor = dict(by_epoch=False)
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
