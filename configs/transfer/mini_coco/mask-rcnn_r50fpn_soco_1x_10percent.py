# Mask R-CNN R50-FPN, 90k iterations on 10 % of COCO's images (paper, table 8: box AP
# 29.2 / 30.4, mask AP 26.1 / 26.8 after 100 / 400 epochs of SoCo, 31.1 and 27.6
# after 400 of SoCo*). data_pipelines/mini_coco.py draws them: --percent 10
_base_ = '../coco/mask-rcnn_r50fpn_soco_1x.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_10percent_seed0.json'))
