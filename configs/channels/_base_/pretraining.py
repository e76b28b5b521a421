# Images of other channels than RGB: the recipe for some hundred images and two CPU cores,
# with each channel's brightness and contrast changed on its own instead of colours. SCENES
# says where the images are. Mean and standard deviation are measured by
# data_pipelines/channel_statistics.py and set in data_preprocessor.
_base_ = '../../own/100-pictures_cpu.py'

model = dict(data_preprocessor=dict(type='SoCoDataPreprocessor'))

augment = dict(
    jitter=dict(_delete_=True, type='ChannelJitter', prob=0.8, brightness=0.4, contrast=0.4),
    grey=None,
)
views = dict(v1=dict(augment=augment), v2=dict(augment=augment), v3=dict(augment=augment))
train_dataloader = dict(
    dataset=dict(
        data_root='{{$SCENES:data/scenes}}/train',
        proposal_file='work_dirs/scenes/proposals.arrow',
        pipeline=dict(multi_view=dict(views=views)),
    )
)
