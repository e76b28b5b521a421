# Mask R-CNN R50-FPN on 10 % of COCO's images from ImageNet labels (paper, table 8: box
# AP 24.7, mask AP 22.9).
_base_ = '../coco/mask-rcnn_r50fpn_supervised_1x.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_10percent_seed0.json'))
