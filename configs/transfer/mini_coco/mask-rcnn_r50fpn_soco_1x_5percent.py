# Mask R-CNN R50-FPN, 90k iterations on 5 % of COCO's images (paper, table 8: box AP
# 24.6 / 26.0, mask AP 22.1 / 22.9 after 100 / 400 epochs of SoCo, 26.8 and 23.8
# after 400 of SoCo*). data_pipelines/mini_coco.py draws them: --percent 5
_base_ = '../coco/mask-rcnn_r50fpn_soco_1x.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_5percent_seed0.json'))
