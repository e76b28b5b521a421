# Some ten thousand images, one GPU.
_base_ = './_base_/gpu.py'

train_cfg = dict(max_steps=20000)
