# Mask R-CNN R50-FPN, COCO, 180k iterations from SoCo (paper, table 1: box AP 43.2 /
# 44.0, mask AP 38.8 / 39.0 after 100 / 400 epochs of SoCo, 44.3 and 39.6 of SoCo*).
_base_ = './mask-rcnn_r50fpn_scratch_2x.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
