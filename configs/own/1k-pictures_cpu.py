# Some thousand images, two CPU cores.
_base_ = './_base_/cpu.py'

train_cfg = dict(max_steps=1000)
