# The same from ImageNet labels (paper, table 1: box AP 38.9, mask AP 35.4).
_base_ = './mask-rcnn_r50fpn_soco_1x.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
