default_scope = 'mmsoco'

randomness = dict(seed=0)  # of the weights, and of all samples
env_cfg = dict(
    cudnn_benchmark=True,  # views have fixed sizes
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # Seconds that processes wait for each other: where a probe or an evaluation is long, the first one
    # works alone, and NCCL's own 10 minutes would end the run.
    dist_cfg=dict(backend='nccl', timeout=3600),
)
# BN is synchronised over processes (paper, section 4.1): by ours, which does not wait for
# the GPU; 'torch' and 'mmcv' are theirs, None is none.
sync_bn = 'mmsoco'
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    broadcast_buffers=False,
    gradient_as_bucket_view=True,  # no second copy of all gradients
)

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(
        type='mmsoco.CheckpointHook', interval=1, every_minutes=30, max_keep_ckpts=3, save_param_scheduler=False
    ),
    target_update=dict(type='TargetUpdateHook', base_momentum=0.99),  # paper, section 4.1
    learning_rate=dict(type='WarmupCosineLRHook', warmup_epochs=10),
    matched_boxes=dict(type='MatchedBoxesHook', interval=1000),
    warm_start=dict(type='WarmStartHook'),  # of load_from, or --init
    health=dict(type='HealthHook', interval=50),
    bad_images=dict(type='BadImagesHook'),
)
log_processor = dict(
    by_epoch=False,
    window_size=50,
    mean_pattern=r'.*(loss|time|grad_norm|match_|other_|chance_|learned_|target_std|distinct).*',
)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
