# Mask R-CNN R50-FPN on 5 % of COCO's images from ImageNet labels (paper, table 8: box AP
# 19.4, mask AP 18.3).
_base_ = '../coco/mask-rcnn_r50fpn_supervised_1x.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_5percent_seed0.json'))
