# ResNet-50 with the C4 head: RoIAlign on C4, then the whole fifth block, as
# Mask R-CNN R50-C4 has it (paper, sections 3.3 and 4.1).
norm_cfg = dict(type='BN', requires_grad=True)

model = dict(
    type='SoCoAlgorithm',
    data_preprocessor=dict(type='SoCoDataPreprocessor'),
    backbone=dict(
        type='mmdet.ResNet',
        depth=50,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    roi_head=dict(
        type='ProposalRoIHead',
        bbox_roi_extractor=dict(type='ScaleAwareRoIExtractor', max_sizes=(), output_size=14),
        shared_head=dict(
            type='mmdet.ResLayer',
            depth=50,
            stage=3,
            stride=2,
            style='pytorch',
            norm_cfg=norm_cfg,
            norm_eval=False,
            init_cfg=None,
        ),
    ),
    projector=dict(type='BYOLNeck', in_channels=2048, hid_channels=4096, out_channels=256),
    predictor=dict(type='BYOLHead', in_channels=256, hid_channels=4096, out_channels=256),
)
