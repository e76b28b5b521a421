# The same from ImageNet labels (paper, table 3: AP 53.5, AP50 81.3, AP75 58.8).
_base_ = './faster-rcnn_r50c4_soco_24k.py'

labels = dict(_delete_=True, **_base_.imagenet_labels)
model = dict(backbone=dict(init_cfg=labels), roi_head=dict(shared_head=dict(init_cfg=dict(**labels))))
custom_hooks = _base_.custom_hooks[1:]
