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
    constructor='PretrainOptimConstructor',
)
train_cfg = dict(max_epochs=None)  # steps are what counts; each recipe says how many
custom_hooks = [
    dict(type='TargetUpdateHook', base_momentum=None),  # from the number of steps
    dict(type='WarmupCosineLRHook', warmup_share=0.1, base_batch_size=None),
    dict(type='MatchedBoxesHook', interval=500),
    dict(type='HealthHook', interval=50),
    # Every tenth image is not trained on, and shows what is learned.
    dict(type='ProbeHook', interval=100, images=10),
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2),
)
log_processor = dict(window_size=25)
