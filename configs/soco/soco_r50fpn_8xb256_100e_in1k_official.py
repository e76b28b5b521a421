# SoCo, R50-FPN, 100 epochs, as the released code trains it: with cutout.
_base_ = './soco_r50fpn_8xb256_400e_in1k_official.py'

pipeline = _base_.train_dataloader.dataset.pipeline
for view in pipeline[1].views[1:]:
    view.augment = [*view.augment, dict(type='BoxCutout', prob=0.5, area=(0.1, 0.3))]

train_dataloader = dict(dataset=dict(pipeline=pipeline))
train_cfg = dict(max_epochs=100)
