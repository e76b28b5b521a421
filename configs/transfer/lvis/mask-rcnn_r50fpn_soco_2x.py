# Mask R-CNN R50-FPN, LVIS v1, 360k iterations from SoCo (paper, table 6: box AP 28.3, mask AP
# 26.9 after 400 epochs of SoCo*).
_base_ = './mask-rcnn_r50fpn_soco_1x.py'

train_cfg = dict(max_iters=360000)
param_scheduler = _base_.steps_360k
