# The same from ImageNet labels (paper, table 1: box AP 41.3, mask AP 37.3).
_base_ = './mask-rcnn_r50fpn_soco_2x.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
