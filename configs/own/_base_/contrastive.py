# What pretrainings of some hundred to some thousand steps have in common: the paper's
# views, boxes, network and target, with a loss that learns in so few steps, and an
# optimizer and schedules to match. docs/recipes.md says what was tried.
_base_ = '../../soco/soco_r50fpn_8xb256_100e_in1k.py'

# A prediction must name its box among those of other images, where BYOL's loss, in
# this time, learns little more than their mean.
model = dict(predictor=dict(type='InfoNCEHead', temperature=0.2, max_overlap=0.0))

# LARS hardly moves the weights in some hundred steps.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05),
)
train_cfg = dict(max_epochs=None)  # steps are what counts; each recipe says how many
default_hooks = dict(
    target_update=dict(base_momentum=None),  # from the number of steps
    learning_rate=dict(warmup_share=0.1, base_batch_size=None),
    matched_boxes=dict(interval=500),
    # Every tenth image is not trained on, and shows what is learned.
    probe=dict(type='ProbeHook', interval=100, images=10),
    logger=dict(interval=25),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2),
)
log_processor = dict(window_size=25)
