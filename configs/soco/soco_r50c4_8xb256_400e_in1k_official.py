# SoCo, R50-C4, 400 epochs, as the released code trains it. Its cutout looks for the
# boxes where they were before the view was mirrored; here they are where they are.
_base_ = './soco_r50c4_8xb256_400e_in1k.py'

pipeline = _base_.train_dataloader.dataset.pipeline
v1, v2 = pipeline[1].views
v1.jitter = None
v2.source = 'image'
v2.crop.scale = (0.6, 1.0)
v2.augment = [*v2.augment, dict(type='BoxCutout', prob=0.5, area=(0.1, 0.3))]

train_dataloader = dict(dataset=dict(pipeline=pipeline))
