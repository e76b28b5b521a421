# The same from ImageNet labels (paper, table 8: box AP 24.7, mask AP 22.9).
_base_ = './mask-rcnn_r50fpn_soco_1x_10percent.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
