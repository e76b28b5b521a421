# Small enough for two CPU cores: ResNet-18 at half its width, views of 128 px.
_base_ = './contrastive.py'

model = dict(
    backbone=dict(depth=18, base_channels=32, stem_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    roi_head=dict(
        # The paper's bounds for views of 224 px, in proportion.
        bbox_roi_extractor=dict(max_sizes=(27, 55, 110)),
        bbox_head=dict(in_channels=64, conv_out_channels=64, fc_out_channels=256),
    ),
    projector=dict(in_channels=256, hid_channels=512, out_channels=128),
    predictor=dict(in_channels=128, hid_channels=512, out_channels=128),
)
sync_bn = None  # one process
total_batch_size = 32
views = dict(v1=dict(size=128), v2=dict(size=128), v3=dict(size=64))
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(pipeline=dict(multi_view=dict(views=views))),
)
