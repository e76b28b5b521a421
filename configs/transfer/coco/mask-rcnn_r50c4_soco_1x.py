# Mask R-CNN R50-C4, COCO, 90k iterations (paper, table 2: box AP 40.4 / 40.9, mask AP
# 34.9 / 35.3 after 100 / 400 epochs of SoCo on R50-C4). 8 GPUs with 2 images each.
_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py', '../_base_/finetuning.py']

custom_imports = dict(imports=['mmpretrain.models.utils.res_layer_extra_norm'], allow_failed_imports=False)
model = _base_.rcnn_c4

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
