# To compare: the paper's loss and optimizer, with a rate of 0.5 at this batch (the paper's
# rule would say 0.125).
_base_ = './soco_r18fpn_digits_byol-adamw.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='LARS', lr=0.5, momentum=0.9, weight_decay=1e-5),
)
