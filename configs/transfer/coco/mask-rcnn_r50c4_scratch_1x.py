# Mask R-CNN R50-C4, COCO, 90k iterations from random weights (paper, table 2: box AP 26.4,
# mask AP 29.3). 8 GPUs with 2 images each.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50-caffe-c4.py', '../_base_/coco_90k.py']

custom_imports = dict(imports=['mmpretrain.models.utils.res_layer_extra_norm'], allow_failed_imports=False)
model = _base_.rcnn_c4
