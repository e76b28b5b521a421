# Mask R-CNN R50-FPN, LVIS v1, 180k iterations from SoCo (paper, table 6: box AP 26.3, mask AP
# 25.0 after 400 epochs of SoCo*).
_base_ = './_base_/mask-rcnn_r50fpn_1x.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
