# Mask R-CNN R50-C4, COCO, 180k iterations from SoCo (paper, table 2: box AP 41.1 / 42.0, mask
# AP 35.6 / 36.3 after 100 / 400 epochs of SoCo on R50-C4).
_base_ = './mask-rcnn_r50c4_scratch_2x.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
