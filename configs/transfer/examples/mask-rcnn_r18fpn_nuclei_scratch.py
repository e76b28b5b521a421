# The same from random weights.
_base_ = './mask-rcnn_r18fpn_nuclei_soco.py'

custom_hooks = []
