# The same from random weights.
_base_ = './fcos_r18fpn_cards_soco.py'

custom_hooks = []
