# Mask R-CNN R50-FPN, COCO, 90k iterations from random weights (paper, table 1: box AP 31.0,
# mask AP 28.5). 8 GPUs with 2 images each.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', '../_base_/coco_90k.py']

model = _base_.mask_rcnn_fpn
