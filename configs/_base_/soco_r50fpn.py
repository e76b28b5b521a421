# ResNet-50 with FPN and mmdet's 4conv1fc box head (paper, section 4.1).
# BN stands for SyncBN: the Runner converts it where there are several GPUs.
norm_cfg = dict(type='BN', requires_grad=True)

model = dict(
    type='SoCoAlgorithm',
    data_preprocessor=dict(type='SoCoDataPreprocessor'),
    backbone=dict(
        type='mmdet.ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    neck=dict(
        type='mmdet.FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,  # P2..P5; P6 is left out for its low resolution (section 3.3)
        norm_cfg=norm_cfg,
    ),
    roi_head=dict(
        type='ProposalRoIHead',
        bbox_roi_extractor=dict(type='ScaleAwareRoIExtractor', max_sizes=(48, 96, 192), output_size=7),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            _scope_='mmdet',
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            norm_cfg=norm_cfg,
            with_reg=False,
            cls_predictor_cfg=dict(type='mmsoco.Identity'),
        ),
    ),
    projector=dict(type='BYOLNeck', in_channels=1024, hid_channels=4096, out_channels=256),
    predictor=dict(type='BYOLHead', in_channels=256, hid_channels=4096, out_channels=256),
)
