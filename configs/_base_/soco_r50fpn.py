# ResNet-50 with FPN and mmdet's 4conv1fc box head (paper, section 4.1).
_base_ = './resnet50.py'

model = dict(
    backbone=dict(num_stages=4, out_indices=(0, 1, 2, 3)),
    neck=dict(
        type='mmdet.FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,  # P2..P5; P6 is left out for its low resolution (section 3.3)
        norm_cfg=_base_.norm_cfg,
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(type='ScaleAwareRoIExtractor', max_sizes=(48, 96, 192), output_size=7),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            _scope_='mmdet',
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            norm_cfg=_base_.norm_cfg,
            with_reg=False,
            cls_predictor_cfg=dict(type='mmsoco.Identity'),
        ),
    ),
    projector=dict(in_channels=1024),
)
