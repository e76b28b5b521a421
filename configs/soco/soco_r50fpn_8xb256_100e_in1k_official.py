# SoCo, R50-FPN, 100 epochs, as the official code trains it: with cutout.
_base_ = './soco_r50fpn_8xb256_400e_in1k_official.py'

with_cutout = dict(augment=dict(cutout=dict(type='BoxCutout', prob=0.5, area=(0.1, 0.3))))
train_dataloader = dict(
    dataset=dict(pipeline=dict(multi_view=dict(views=dict(v2=with_cutout, v3=with_cutout)))),
)
train_cfg = dict(max_epochs=100)
