# The same from ImageNet labels (paper, table 6: box AP 23.4, mask AP 22.3).
_base_ = './mask-rcnn_r50fpn_supervised_1x.py'

train_cfg = dict(max_iters=360000)
param_scheduler = _base_.steps_360k
