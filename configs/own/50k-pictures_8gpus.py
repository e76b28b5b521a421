# Fifty thousand images, eight GPUs.
_base_ = './_base_/8gpus.py'

train_cfg = dict(max_steps=20000)
