# Some hundred pictures, two CPU cores: about a quarter of an hour.
_base_ = './_base_/cpu.py'

train_cfg = dict(max_steps=400)
