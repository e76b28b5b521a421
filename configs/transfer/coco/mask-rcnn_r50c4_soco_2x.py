# Mask R-CNN R50-C4, COCO, 180k iterations (paper, table 2: box AP 41.1 / 42.0, mask
# AP 35.6 / 36.3 after 100 / 400 epochs of SoCo on R50-C4).
_base_ = './mask-rcnn_r50c4_soco_1x.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=180000, milestones=[120000, 160000])
train_cfg = dict(max_iters=180000)
