# Faster R-CNN on images of 4 channels, from soco_r18fpn_4channels.py.
_base_ = './_base_/detector.py'

model = dict(backbone=dict(in_channels=4))
load = dict(type='mmsoco.LoadImageFromFile', channels=4)
train_dataloader = dict(dataset=dict(pipeline=[load, *_base_.train_steps]))
val_dataloader = dict(dataset=dict(pipeline=[load, *_base_.test_steps]))
test_dataloader = val_dataloader
