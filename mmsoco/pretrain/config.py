"""The config of a pretraining: a recipe of configs/own, with what was chosen, resolved."""

import os
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmsoco.errors import one_line
from mmsoco.files import atomic_path
from mmsoco.pretrain.networks import Network
from mmsoco.pretrain.recipes import HELD_OUT, Recipe, interval_for
from mmsoco.resources import shipped

#: Backbone -> the config that has it with its FPN; of a ResNet the depth is set.
_WITH_FPN = {
    'resnet18': 'soco_r18fpn_8xb256_100e_in1k',
    'resnet34': 'soco_r18fpn_8xb256_100e_in1k',
    'resnet50': 'soco_r50fpn_8xb256_100e_in1k',
    'resnet101': 'soco_r50fpn_8xb256_100e_in1k',
    'convnext-t': 'soco_convnext-t-fpn_8xb256_100e_in1k',
    'swin-t': 'soco_swin-t-fpn_8xb256_100e_in1k',
    'vit-b': 'soco_vit-b_8xb256_100e_in1k',
}
_C4 = 'soco_r50c4_8xb256_100e_in1k'
#: Bounds of the pyramid's levels in views of so many pixels (paper, section 3.3).
_BOUNDS, _OF_VIEW = (48, 96, 192), 224
#: What configs leave behind that nothing but their children reads.
_LEFTOVERS = ('color', 'augment_first', 'augment_others', 'multi_view', 'views', 'norm_cfg', 'vit_b', 'vit_b_decay')


def resolve(
    recipe: Recipe,
    network: Network,
    view: int,
    steps: int,
    images: str | os.PathLike,
    proposals: str | os.PathLike,
) -> Config:
    """A config that stands by itself.

    Args:
        recipe: Of configs/own.
        network: What is pretrained.
        view: Side of the larger views, in pixels; the smaller one has half of it.
        steps: Optimizer steps.
        images: Their folder.
        proposals: The proposal file.
    """
    cfg = Config.fromfile(shipped(f'configs/own/{recipe.name}.py'))
    if network.backbone is not None:
        _set_network(cfg, network)
    interval = interval_for(recipe, steps)
    warmup = cfg.default_hooks.learning_rate.warmup_share
    cfg.merge_from_dict(
        {
            'total_batch_size': recipe.batch,
            'train_dataloader.batch_size': recipe.batch // recipe.processes,
            'train_dataloader.dataset.data_root': str(images),
            'train_dataloader.dataset.proposal_file': str(proposals),
            'train_dataloader.dataset.held_out': HELD_OUT,
            'train_cfg.max_steps': steps,
            'default_hooks.probe.interval': interval,
            'default_hooks.probe.images': HELD_OUT,
            'default_hooks.checkpoint.interval': interval,
            'default_hooks.matched_boxes.interval': max(interval, 100),
            'default_hooks.logger.interval': min(cfg.default_hooks.logger.interval, interval),
            'default_hooks.health.interval': min(cfg.default_hooks.health.interval, interval),
            # Of a run of a few steps one is for warming up.
            'default_hooks.learning_rate.warmup_share': max(warmup, 1 / steps) if steps < 10 else warmup,
        }
    )
    views = cfg.train_dataloader.dataset.pipeline.multi_view.views
    for name in views:
        if views[name] is not None:
            views[name].size = view // 2 if name == 'v3' else view
    if not network.is_c4:
        bounds = tuple(round(bound * view / _OF_VIEW) for bound in _BOUNDS)
        cfg.model.roi_head.bbox_roi_extractor.max_sizes = bounds
    for name in _LEFTOVERS:
        cfg.pop(name, None)
    return cfg


def _set_network(cfg: Config, network: Network) -> None:
    """Replace the recipe's network, and keep its loss."""
    given = Config.fromfile(shipped(f'configs/soco/{_C4 if network.is_c4 else _WITH_FPN[network.backbone]}.py'))
    model, former = given.model, cfg.model
    depth = int(network.backbone[6:]) if network.backbone.startswith('resnet') else None
    if depth:
        model.backbone.depth = depth
        basic = depth < 50
        if network.is_c4:
            model.roi_head.shared_head.depth = depth
            model.projector.in_channels = 512 if basic else 2048
        else:
            model.neck.in_channels = [64, 128, 256, 512] if basic else [256, 512, 1024, 2048]
    # The recipe's widths of what is left behind.
    for part in ('projector', 'predictor'):
        width = {key: former[part][key] for key in ('hid_channels', 'out_channels') if key in former[part]}
        model[part] = ConfigDict({**(former if part == 'predictor' else model)[part], **width})
    model.predictor.in_channels = model.projector.out_channels
    cfg.model = model
    if network.backbone in ('swin-t', 'vit-b'):
        # Transformers have rates of their own.
        cfg.optim_wrapper = given.optim_wrapper
    if network.is_c4:
        multi_view = cfg.train_dataloader.dataset.pipeline.multi_view
        multi_view.views.pop('v3')
        multi_view.pairs = [('v1', 'v2')]


def write_config(cfg: Config, path: Path, title: str) -> None:
    """Write a config as plain mmengine reads it, with a comment on top."""
    with atomic_path(path) as temporary:
        temporary.write_text(f'# {one_line(title)}\n{cfg.pretty_text}', 'utf-8')
