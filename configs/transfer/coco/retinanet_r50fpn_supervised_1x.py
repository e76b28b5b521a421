# The same from ImageNet labels (paper, table 7: box AP 36.3).
_base_ = './retinanet_r50fpn_soco_1x.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
