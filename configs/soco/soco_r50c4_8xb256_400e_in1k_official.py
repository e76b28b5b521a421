# SoCo, R50-C4, 400 epochs, as the official code trains it.
_base_ = './soco_r50c4_8xb256_100e_in1k_official.py'

train_cfg = dict(max_epochs=400)
