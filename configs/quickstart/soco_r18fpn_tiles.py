# SoCo on the quickstart's 64 aerial tiles, small enough for two CPU cores.
# What differs from the paper's recipe it inherits: the backbone, the widths,
# the size of the views, and an optimizer for some hundred steps.
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

work_folder = 'work_dirs/quickstart'
total_batch_size = 16

pipeline = _base_.train_dataloader.dataset.pipeline
for view, size in zip(pipeline[1].views, (192, 192, 96), strict=True):
    view.size = size

# ResNet-18 at half its width, and an FPN and a box head to match.
model = dict(
    backbone=dict(depth=18, base_channels=32, stem_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    roi_head=dict(bbox_head=dict(in_channels=64, conv_out_channels=64, fc_out_channels=256)),
    projector=dict(in_channels=256, hid_channels=512, out_channels=128),
    predictor=dict(in_channels=128, hid_channels=512, out_channels=128),
)
sync_bn = None  # one process

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        data_root=f'{work_folder}/data/train',
        proposal_file=f'{work_folder}/proposals.arrow',
        pipeline=pipeline,
    ),
)

optim_wrapper = dict(optimizer=dict(lr=4.0))
train_cfg = dict(max_epochs=50)
custom_hooks = [
    dict(type='TargetUpdateHook', base_momentum=0.97),
    dict(type='WarmupCosineLRHook', warmup_epochs=5),
    dict(type='MatchedBoxesHook', interval=100),
    dict(type='HealthHook', interval=50),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=10, max_keep_ckpts=2),
)
log_processor = dict(window_size=10)
