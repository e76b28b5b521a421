# The same recipe and seed, from random weights.
_base_ = './faster-rcnn_r18fpn_digits_soco.py'

load_from = None
custom_hooks = []
