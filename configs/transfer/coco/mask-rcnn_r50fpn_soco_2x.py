# Mask R-CNN R50-FPN, COCO, 180k iterations (paper, table 1: box AP 43.2 /
# 44.0, mask AP 38.8 / 39.0 after 100 / 400 epochs of SoCo, 44.3 and 39.6 of SoCo*).
_base_ = './mask-rcnn_r50fpn_soco_1x.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=180000, milestones=[120000, 160000])
train_cfg = dict(max_iters=180000)
