# SoCo on images of 1 channel, such as thermal or X-ray ones.
_base_ = './_base_/pretraining.py'

model = dict(backbone=dict(in_channels=1))
train_dataloader = dict(dataset=dict(channels=1))
