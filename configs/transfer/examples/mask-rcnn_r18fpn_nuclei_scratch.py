# Mask R-CNN on microscopy images from random weights: COCO format, one class. NUCLEI says
# where they are.
_base_ = '../../own/detectors/mask-rcnn_r18fpn_cpu.py'

model = dict(
    # Anchors from 8 px on: nuclei here measure 5 to 60.
    rpn_head=dict(anchor_generator=dict(scales=[2])),
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
)
nuclei = dict(data_root='{{$NUCLEI:data/nuclei}}/', metainfo=dict(classes=('nucleus',)))
train_dataloader = dict(dataset=dict(**nuclei, ann_file='train.json', data_prefix=dict(img='train/')))
val_dataloader = dict(dataset=dict(**nuclei, ann_file='val.json', data_prefix=dict(img='val/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=nuclei['data_root'] + 'val.json')
test_evaluator = val_evaluator
