# Mask R-CNN R50-FPN, COCO, 360k iterations from SoCo (paper, table 10: box AP 44.5,
# mask AP 39.6 after 400 epochs of SoCo*).
_base_ = './mask-rcnn_r50fpn_scratch_4x.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
