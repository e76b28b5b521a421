# SoCo on images of 13 channels, such as Sentinel-2's.
_base_ = './_base_/pretraining.py'

model = dict(backbone=dict(in_channels=13))
train_dataloader = dict(dataset=dict(channels=13))
