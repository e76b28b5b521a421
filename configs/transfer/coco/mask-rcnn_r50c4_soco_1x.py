# Mask R-CNN R50-C4, COCO, 90k iterations from SoCo (paper, table 2: box AP 40.4 / 40.9, mask
# AP 34.9 / 35.3 after 100 / 400 epochs of SoCo on R50-C4). 8 GPUs with 2 images each.
_base_ = './mask-rcnn_r50c4_scratch_1x.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
