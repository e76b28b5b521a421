# Mask R-CNN R50-FPN, COCO, 90k iterations from SoCo (paper, table 1: box AP 42.3 / 43.0, mask
# AP 37.6 / 38.2 after 100 / 400 epochs of SoCo, 43.2 and 38.4 after 400 of SoCo*).
# 8 GPUs with 2 images each.
_base_ = './mask-rcnn_r50fpn_scratch_1x.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
