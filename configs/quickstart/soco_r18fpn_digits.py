# SoCo on the quickstart's sheets: the recipe for some hundred images, narrower still.
_base_ = '../own/100-pictures_cpu.py'

work_folder = 'work_dirs/quickstart'

# Writing has a direction: views are not mirrored.
as_it_is = dict(augment=dict(flip=None))
train_dataloader = dict(
    dataset=dict(
        data_root=f'{work_folder}/data/train',
        proposal_file=f'{work_folder}/proposals.arrow',
        pipeline=dict(multi_view=dict(views=dict(v1=as_it_is, v2=as_it_is, v3=as_it_is))),
    ),
)

# ResNet-18 at a quarter of its width, and an FPN and a box head to match.
model = dict(
    backbone=dict(base_channels=16, stem_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    roi_head=dict(bbox_head=dict(in_channels=32, conv_out_channels=32)),
)
train_cfg = dict(max_steps=300)
