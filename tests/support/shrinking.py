"""``--cfg-options`` that make any pretraining config two epochs of two steps, on eight pictures and some channels."""

from mmengine.config import Config

RESNET_WIDTHS = {True: [4, 8, 16, 32], False: [16, 32, 64, 128]}  # basic blocks, bottlenecks
CHANNELS = 4
VIEWS = 'train_dataloader.dataset.pipeline.1.views'


def shrunk_backbone(backbone, depth):
    """Options of ``model.backbone`` and its widths, C2 to C5."""
    if backbone.type.endswith('ConvNeXt'):
        widths = RESNET_WIDTHS[True]
        return {'arch': dict(_delete_=True, depths=[1, 1, 1, 1], channels=widths)}, widths
    return {'depth': depth, 'base_channels': 4, 'stem_channels': 4}, RESNET_WIDTHS[depth < 50]


def shrink(config, pictures, proposal_file, depth=18):
    """Options for the config at a path; ``depth`` is the ResNet's."""
    cfg = Config.fromfile(config)
    backbone, widths = shrunk_backbone(cfg.model.backbone, depth)
    options = {}
    features = widths[-1]
    if cfg.model.get('neck'):
        options |= {'model.neck.in_channels': widths, 'model.neck.out_channels': CHANNELS}
        features = CHANNELS
    head = 'model.roi_head.bbox_head'
    if cfg.model.roi_head.get('bbox_head'):
        features = 8
        options |= {f'{head}.in_channels': CHANNELS, f'{head}.conv_out_channels': CHANNELS}
        options |= {f'{head}.fc_out_channels': features}
    if cfg.model.roi_head.get('shared_head'):
        # mmdet's has fixed widths, so the backbone has, too.
        backbone |= {'base_channels': 64, 'stem_channels': 64}
        features = 512
        options |= {'model.roi_head.shared_head.depth': 18}
    options |= {f'model.backbone.{key}': value for key, value in backbone.items()}
    for i, view in enumerate(cfg.train_dataloader.dataset.pipeline[1].views):
        options[f'{VIEWS}.{i}.size'] = view.size * 2 // 7  # 224 to 64
    return options | {
        'model.projector.in_channels': features,
        'model.projector.hid_channels': 16,
        'model.projector.out_channels': 8,
        'model.predictor.in_channels': 8,
        'model.predictor.hid_channels': 16,
        'model.predictor.out_channels': 8,
        'train_dataloader.dataset.data_root': str(pictures),
        'train_dataloader.dataset.proposal_file': str(proposal_file),
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'total_batch_size': 4,
        'train_cfg.max_epochs': 2,
        'custom_imports.imports': ['recording_hooks'],
        'custom_hooks.1.warmup_epochs': 1,
        'custom_hooks.2.interval': 2,
        'default_hooks.record.type': 'RecordHook',
    }
