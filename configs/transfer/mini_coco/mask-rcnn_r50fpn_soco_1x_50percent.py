# Mask R-CNN R50-FPN, 90k iterations on 50 % of COCO's images (paper, table 12: box AP
# 40.1, mask AP 35.7 after 400 epochs of SoCo*; ImageNet labels reach 38.9 and 35.4 on
# all images). data_pipelines/mini_coco.py draws them: --percent 50
_base_ = '../coco/mask-rcnn_r50fpn_soco_1x.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_50percent_seed0.json'))
