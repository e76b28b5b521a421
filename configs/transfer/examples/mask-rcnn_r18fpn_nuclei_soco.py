# The same from a pretraining, that of soco_r18fpn_nuclei.py.
_base_ = './mask-rcnn_r18fpn_nuclei_scratch.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
