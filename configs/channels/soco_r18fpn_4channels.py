# SoCo on images of 4 channels, such as aerial ones with near infrared.
_base_ = './_base_/pretraining.py'

model = dict(backbone=dict(in_channels=4))
train_dataloader = dict(dataset=dict(channels=4))
