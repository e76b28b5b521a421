# The same recipe and seed, from the quickstart's pretraining.
_base_ = './faster-rcnn_r18fpn_digits_scratch.py'

load_from = f'{_base_.work_folder}/pretrain/iter_300.pth'
default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
