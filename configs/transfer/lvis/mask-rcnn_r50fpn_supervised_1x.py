# The same from ImageNet labels (paper, table 6: box AP 20.4, mask AP 19.4).
_base_ = './mask-rcnn_r50fpn_soco_1x.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
