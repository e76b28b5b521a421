# The same for 180k iterations (paper, table 1: box AP 38.4, mask AP 34.7).
_base_ = './mask-rcnn_r50fpn_scratch_1x.py'

train_cfg = dict(max_iters=180000)
param_scheduler = _base_.steps_180k
