# Fifty thousand images, two CPU cores; a GPU is the better choice.
_base_ = './_base_/cpu.py'

train_cfg = dict(max_steps=6000)
