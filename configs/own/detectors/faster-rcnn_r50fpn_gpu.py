# Faster R-CNN with ResNet-50 for one GPU, into which a pretraining by configs/own/*_gpu.py loads: backbone, FPN and
# box head. The paths are mmdet's, of COCO; tools/compare.py --train, --val give others.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    './_base_/gpu.py',
]

model = dict(
    backbone=_base_.whole_backbone, neck=dict(norm_cfg=_base_.norm), roi_head=dict(bbox_head=_base_.four_conv_head)
)
pipeline = _base_.masks_640_to_800
pipeline[1]['with_mask'] = False
train_dataloader = dict(**_base_.four_images, dataset=dict(pipeline=pipeline))
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = val_evaluator
