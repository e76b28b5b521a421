# The same for 180k iterations (paper, table 2: box AP 35.6, mask AP 31.4).
_base_ = './mask-rcnn_r50c4_scratch_1x.py'

train_cfg = dict(max_iters=180000)
param_scheduler = _base_.steps_180k
