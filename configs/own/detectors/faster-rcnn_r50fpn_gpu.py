# Faster R-CNN with ResNet-50 for one GPU, into which a pretraining by configs/own/*_gpu.py loads: backbone, FPN and
# box head. The paths are mmdet's, of COCO; tools/compare.py --train, --val give others.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    './_base_/gpu.py',
]

model = dict(
    backbone=_base_.whole_backbone,
    neck=dict(norm_cfg=_base_.norm),
    roi_head=dict(bbox_head=_base_.four_conv_head),
)
boxes_640_to_800 = [
    dict(step, with_mask=False) if step['type'] == 'LoadAnnotations' else step for step in _base_.masks_640_to_800
]
train_dataloader = dict(**_base_.four_images, dataset=dict(pipeline=boxes_640_to_800))
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = val_evaluator
