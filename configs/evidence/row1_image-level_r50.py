# Table 4, row 1, with the paper's ResNet-50: the whole image as the instance.
_base_ = ['./row7_soco_r50.py', './_base_/image_level.py']

model = dict(**_base_.backbone_alone, projector=dict(in_channels=2048))
train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=_base_.whole_images)))
