"""``--cfg-options`` that make configs small: some channels wide, some images, two steps."""

from mmengine.config import Config

# Basic blocks, bottlenecks. Not under 8 channels: there, PyTorch's strided 1x1 convolutions in
# channels_last write past their memory on processors with AVX2 and without AVX-512 (oneDNN 3.11).
RESNET_WIDTHS = {True: [8, 16, 32, 64], False: [16, 32, 64, 128]}
CHANNELS = 4
VIEWS = 'train_dataloader.dataset.pipeline.multi_view.views'


def shrunk_backbone(backbone, depth):
    """Options of ``model.backbone`` and its widths, C2 to C5 or that of its only map."""
    if backbone.type.endswith('ConvNeXt'):
        widths = RESNET_WIDTHS[True]
        return {'arch': dict(_delete_=True, depths=[1, 1, 1, 1], channels=widths)}, widths
    if backbone.type.endswith('SwinTransformer'):
        return {'embed_dims': 8, 'depths': [1, 1, 2, 1], 'num_heads': [1, 2, 2, 4]}, RESNET_WIDTHS[True]
    if backbone.type.endswith('ViTSAM'):
        arch = dict(
            _delete_=True, embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=32, global_attn_indexes=[1]
        )
        return {'arch': arch}, [32]
    widths = RESNET_WIDTHS[depth < 50]
    base = widths[0] if depth < 50 else widths[0] // 4
    return {'depth': depth, 'base_channels': base, 'stem_channels': base}, widths


def of_neck(widths):
    """What a neck is told of the maps it gets: all of them, or the only one."""
    return widths if len(widths) > 1 else widths[0]


def shrink(config, images, proposal_file, depth=18, channels=CHANNELS):
    """Options for the config at a path; ``depth`` is the ResNet's, ``channels`` the FPN's."""
    cfg = Config.fromfile(config)
    backbone, widths = shrunk_backbone(cfg.model.backbone, depth)
    options = {}
    features = widths[-1]
    if cfg.model.get('neck'):
        options |= {'model.neck.in_channels': of_neck(widths), 'model.neck.out_channels': channels}
        features = channels
    head = 'model.roi_head.bbox_head'
    if cfg.model.roi_head.get('bbox_head'):
        features = 8
        options |= {f'{head}.in_channels': channels, f'{head}.conv_out_channels': channels}
        options |= {f'{head}.fc_out_channels': features}
    if cfg.model.roi_head.get('shared_head'):
        # mmdet's has fixed widths, so the backbone has, too.
        backbone |= {'base_channels': 64, 'stem_channels': 64}
        features = 512
        options |= {'model.roi_head.shared_head.depth': 18}
    options |= {f'model.backbone.{key}': value for key, value in backbone.items()}
    for name, view in cfg.train_dataloader.dataset.pipeline.multi_view.views.items():
        if view is not None:
            options[f'{VIEWS}.{name}.size'] = view.size * 2 // 7  # 224 to 64
    if 'image_projector' in cfg.model:
        options |= {'model.image_projector.in_channels': widths[-1]}
        options |= {f'model.image_{part}.hid_channels': 16 for part in ('projector', 'predictor')}
    length = {'train_cfg.max_epochs': 2}
    if cfg.train_cfg.get('max_steps'):
        length = {'train_cfg.max_steps': 4}
    if 'probe' in cfg.default_hooks:  # two of eight images
        options |= {'default_hooks.probe.images': 4, 'default_hooks.probe.boxes': 20}
    return options | {
        'model.projector.in_channels': features,
        'model.projector.hid_channels': 16,
        'model.projector.out_channels': 8,
        'model.predictor.in_channels': 8,
        'model.predictor.hid_channels': 16,
        'model.predictor.out_channels': 8,
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.dataset.proposal_file': str(proposal_file),
        'train_dataloader.num_workers': 0,
        'total_batch_size': 4,
        **length,
        'custom_imports.imports': ['recording_hooks'],
        'default_hooks.learning_rate.warmup_epochs': 1,
        'default_hooks.matched_boxes.interval': 2,
        'default_hooks.record.type': 'RecordHook',
    }


def shrink_detector(config, depth=18):
    """Options for the model of a transfer config, to fit what :func:`shrink` makes of its pretraining.

    The FPN has 64 channels: FCOS's group norm wants two a group where a map is a pixel large.
    """
    model = Config.fromfile(config).model
    backbone, widths = shrunk_backbone(model.backbone, depth)
    options = {}
    if 'neck' in model:
        options |= {'neck.in_channels': of_neck(widths), 'neck.out_channels': 64}
        channels = features = 64
    else:
        # mmdet's shared head has fixed widths.
        backbone |= {'base_channels': 64, 'stem_channels': 64}
        options |= {'roi_head.shared_head.depth': 18}
        channels, features = 256, 512
    options |= {f'backbone.{key}': value for key, value in backbone.items()}
    if 'rpn_head' in model:
        options |= {'rpn_head.in_channels': channels, 'rpn_head.feat_channels': 16}
        options |= {'train_cfg.rpn_proposal.nms_pre': 100, 'train_cfg.rpn_proposal.max_per_img': 20}
        options |= {'train_cfg.rcnn.sampler.num': 8, 'test_cfg.rpn.max_per_img': 10, 'test_cfg.rcnn.score_thr': 0.0}
        options |= {'roi_head.bbox_roi_extractor.out_channels': channels, 'roi_head.bbox_head.in_channels': features}
        if 'neck' in model:
            options |= {'roi_head.bbox_head.conv_out_channels': features, 'roi_head.bbox_head.fc_out_channels': 8}
        if model.roi_head.get('mask_roi_extractor'):
            options['roi_head.mask_roi_extractor.out_channels'] = channels
        if model.roi_head.get('mask_head'):
            options |= {'roi_head.mask_head.in_channels': features, 'roi_head.mask_head.conv_out_channels': 4}
    else:
        options |= {'bbox_head.in_channels': 64, 'bbox_head.feat_channels': 64, 'bbox_head.stacked_convs': 1}
        options['test_cfg.score_thr'] = 0.0
    # Tests train with the batch that is there.
    return {f'model.{key}': value for key, value in options.items()} | {'auto_scale_lr': None}
