# Mask R-CNN R50-FPN, LVIS v1, 360k iterations (paper, table 6: box AP 28.3, mask AP 26.9
# after 400 epochs of SoCo*).
_base_ = './mask-rcnn_r50fpn_soco_1x.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=360000, milestones=[240000, 320000])
train_cfg = dict(max_iters=360000)
