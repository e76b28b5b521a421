# ResNet-50 with the C4 head: RoIAlign on C4, then the whole fifth block, as
# Mask R-CNN R50-C4 has it (paper, sections 3.3 and 4.1).
_base_ = './resnet50.py'

model = dict(
    backbone=dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)),
    roi_head=dict(
        bbox_roi_extractor=dict(type='ScaleAwareRoIExtractor', max_sizes=(), output_size=14),
        shared_head=dict(
            type='mmdet.ResLayer',
            depth=50,
            stage=3,
            stride=2,
            style='pytorch',
            norm_cfg=_base_.norm_cfg,
            norm_eval=False,
            init_cfg=None,
        ),
    ),
    projector=dict(in_channels=2048),
)
