# The same from ImageNet labels (paper, table 10: box AP 41.9, mask AP 37.7).
_base_ = './mask-rcnn_r50fpn_soco_4x.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
