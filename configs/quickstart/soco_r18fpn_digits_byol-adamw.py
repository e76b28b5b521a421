# To compare: BYOL's loss, as in the paper, with everything else as in the quickstart.
_base_ = './soco_r18fpn_digits.py'

model = dict(predictor=dict(_delete_=True, type='BYOLHead', in_channels=128, hid_channels=512, out_channels=128))
