# Mask R-CNN with ResNet-50 for one GPU, into which a pretraining by configs/own/*_gpu.py loads: backbone, FPN and
# box head. The paths are mmdet's, of COCO; tools/compare.py --train, --val give others.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    './_base_/gpu.py',
]

model = _base_.mask_rcnn_fpn
train_dataloader = dict(**_base_.four_images, dataset=dict(pipeline=_base_.masks_640_to_800))
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = val_evaluator
