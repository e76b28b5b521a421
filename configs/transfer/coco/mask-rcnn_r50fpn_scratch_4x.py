# The same for 360k iterations (not in the paper).
_base_ = './mask-rcnn_r50fpn_scratch_1x.py'

train_cfg = dict(max_iters=360000)
param_scheduler = _base_.steps_360k
