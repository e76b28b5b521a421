# Faster R-CNN R50-C4, VOC 07+12 trainval, tested on VOC 07, from SoCo (paper, table 3: AP 59.1 /
# 59.7, AP50 83.4 / 83.8, AP75 65.6 / 66.8 after 100 / 400 epochs of SoCo on R50-C4).
_base_ = './faster-rcnn_r50c4_scratch_24k.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
