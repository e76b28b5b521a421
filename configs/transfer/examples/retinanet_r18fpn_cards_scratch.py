# The same from random weights.
_base_ = './retinanet_r18fpn_cards_soco.py'

custom_hooks = []
