# SoCo with a loss of the whole image beside that of its objects, which the paper leaves
# for the future (appendix B). Not in the paper; the recipe is SoCo's. Not run.
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

model = dict(
    type='JointSoCo',
    image_projector=dict(type='BYOLNeck', in_channels=2048, hid_channels=4096, out_channels=256),
    image_predictor=dict(type='BYOLHead', in_channels=256, hid_channels=4096, out_channels=256),
    image_weight=1.0,
)
