# SoCo, R50-C4, 100 epochs (paper, table 2: Mask R-CNN C4 1x 40.4 box AP, 34.9 mask AP).
_base_ = [
    '../_base_/soco_r50c4.py',
    '../_base_/imagenet_3views.py',
    '../_base_/lars_100e.py',
    '../_base_/default_runtime.py',
]

# V3 is discarded (section 3.3).
multi_view = dict(views=dict(v3=None), pairs=[('v1', 'v2')])
train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=multi_view)))
