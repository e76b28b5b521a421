# SoCo, R50-C4, 100 epochs (paper, table 2: Mask R-CNN C4 1x 40.4 box AP, 34.9 mask AP).
_base_ = [
    '../_base_/soco_r50c4.py',
    '../_base_/imagenet_3views.py',
    '../_base_/lars_100e.py',
    '../_base_/default_runtime.py',
]

# V3 is discarded (section 3.3).
pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].views = pipeline[1].views[:2]
pipeline[1].pairs = [('v1', 'v2')]

train_dataloader = dict(dataset=dict(pipeline=pipeline))
model = dict(pairs=pipeline[1].pairs)
