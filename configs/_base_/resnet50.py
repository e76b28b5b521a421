# What SoCo with a ResNet-50 has in common, whatever the detector (paper, section 4.1).
# BN stands for SyncBN: the Runner converts it where there are several GPUs.
norm_cfg = dict(type='BN', requires_grad=True)

model = dict(
    type='SoCoAlgorithm',
    data_preprocessor=dict(type='SoCoDataPreprocessor'),
    backbone=dict(
        type='mmdet.ResNet',
        depth=50,
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    roi_head=dict(type='ProposalRoIHead'),
    projector=dict(type='BYOLNeck', hid_channels=4096, out_channels=256),
    predictor=dict(type='BYOLHead', in_channels=256, hid_channels=4096, out_channels=256),
)
