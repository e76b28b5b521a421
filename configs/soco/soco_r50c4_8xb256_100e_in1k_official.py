# SoCo, R50-C4, 100 epochs, as the official code trains it. Its cutout looks for the
# boxes where they were before the view was mirrored; here they are where they are.
_base_ = './soco_r50c4_8xb256_100e_in1k.py'

cutout = dict(type='BoxCutout', prob=0.5, area=(0.1, 0.3))
views = dict(
    v1=dict(jitter=None),
    v2=dict(source='image', crop=dict(scale=(0.6, 1.0)), augment=dict(cutout=cutout)),
)
train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(views=views))))
