# The same from ImageNet labels (paper, table 8: box AP 19.4, mask AP 18.3).
_base_ = './mask-rcnn_r50fpn_soco_1x_5percent.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
