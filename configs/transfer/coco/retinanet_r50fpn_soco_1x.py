# RetinaNet R50-FPN, COCO, 12 epochs from SoCo (paper, table 7: box AP 38.3 after 400 epochs of
# SoCo*). Backbone and FPN are pretrained.
_base_ = './retinanet_r50fpn_scratch_1x.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
