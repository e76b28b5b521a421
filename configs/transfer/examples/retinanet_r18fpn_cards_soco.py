# The same from a pretraining, that of soco_r18fpn_cards.py.
_base_ = './retinanet_r18fpn_cards_scratch.py'

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
