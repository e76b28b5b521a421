import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmsoco.checkpoints.tools import rename
from mmsoco.config import read_config
from mmsoco.errors import UserError
from mmsoco.pretrain.asked import Asked, Machine
from mmsoco.pretrain.config import resolve, write_config
from mmsoco.pretrain.exports import exports_for
from mmsoco.pretrain.networks import BACKBONES, DETECTORS, Network, network_for
from mmsoco.pretrain.recipes import Recipe
from mmsoco.registry import MODELS


@pytest.mark.parametrize(
    ('network', 'recipe', 'view'),
    [
        (Network('mask-rcnn', None), '100-pictures_cpu', 128),
        (Network('mask-rcnn', 'resnet18'), '100-pictures_cpu', 64),
        (Network('c4', 'resnet18'), '100-pictures_cpu', 64),
        (Network('fcos', 'resnet101'), '10k-pictures_8gpus', 224),
        (Network('mask-rcnn', 'swin-t'), '1k-pictures_gpu', 224),
    ],
)
def test_a_resolved_config_stands_by_itself(network, recipe, view, tmp_path, monkeypatch):
    given = resolve(Recipe(recipe, 16, processes=2), network, view, 120, tmp_path, tmp_path / 'p.arrow')
    write_config(given, tmp_path / 'config.py', 'A title')
    monkeypatch.chdir(tmp_path)
    cfg = read_config('config.py')
    text = (tmp_path / 'config.py').read_text()
    assert text.startswith('# A title\n') and '_base_' not in text
    assert (cfg.total_batch_size, cfg.train_dataloader.batch_size, cfg.train_cfg.max_steps) == (16, 8, 120)
    assert cfg.train_dataloader.dataset.proposal_file == str(tmp_path / 'p.arrow')
    assert cfg.model.predictor.type == 'InfoNCEHead' and cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.model.predictor.in_channels == cfg.model.projector.out_channels
    assert cfg.default_hooks.probe.interval == 30 and cfg.default_hooks.checkpoint.interval == 30
    multi_view = cfg.train_dataloader.dataset.pipeline.multi_view
    sizes = {name: part.size for name, part in multi_view.views.items()}
    if network.is_c4:
        assert sizes == dict(v1=view, v2=view) and multi_view.pairs == [('v1', 'v2')]
    else:
        assert sizes == dict(v1=view, v2=view, v3=view // 2)
        bounds = cfg.model.roi_head.bbox_roi_extractor.max_sizes
        assert list(bounds) == [round(bound * view / 224) for bound in (48, 96, 192)]


def test_a_title_stays_a_comment(tmp_path):
    """Whatever the folder of the images is called."""
    cfg = Config(dict(a=1))
    write_config(cfg, tmp_path / 'config.py', 'for /data/two\nlines')
    assert Config.fromfile(tmp_path / 'config.py').a == 1


@pytest.mark.parametrize('backbone', [None, *BACKBONES])
def test_each_tool_takes_the_network_that_it_is_said_to(backbone, tmp_path):
    """With a place for each of the tensors, of the network as it is built."""
    init_default_scope('mmsoco')
    names = {}
    for detector in DETECTORS:
        try:
            network, _ = network_for(Asked(detector=detector, backbone=backbone), Machine(0, 2))
        except UserError:
            continue
        if network.is_c4 not in names:
            cfg = resolve(Recipe('100-pictures_cpu', 32), network, 64, 400, tmp_path, tmp_path / 'p.arrow')
            # Without memory, where the backbone computes nothing when it is built.
            with torch.device('cpu' if backbone in ('swin-t', 'convnext-t') else 'meta'):
                model = MODELS.build(cfg.model)
            names[network.is_c4] = [n for n in model.state_dict() if n.partition('.')[0] in model.DETECTOR_PARTS]
        tools = [export.tool for export in exports_for(network) if export.tool]
        assert all(rename(names[network.is_c4], tool, str(network)).taken for tool in tools)


def test_without_a_wish_it_is_the_recipe(root, tmp_path):
    """But for data, and what is held out, which the tool that trains says."""
    recipe = Config.fromfile(root / 'configs/own/100-pictures_cpu.py')
    cfg = resolve(Recipe('100-pictures_cpu', 32), Network('mask-rcnn', None), 128, 400, tmp_path, tmp_path / 'p.arrow')
    for key in ('model', 'optim_wrapper', 'train_cfg', 'total_batch_size', 'log_processor', 'randomness'):
        assert cfg[key] == recipe[key]
    for config in (cfg, recipe):
        config.default_hooks.pop('matched_boxes')
        for key in ('data_root', 'proposal_file', 'held_out'):
            config.train_dataloader.dataset.pop(key, None)
    assert cfg.default_hooks == recipe.default_hooks and cfg.train_dataloader == recipe.train_dataloader


def test_whole_backbones_have_the_widths_that_other_tools_have(tmp_path):
    cfg = resolve(Recipe('100-pictures_cpu', 32), Network('mask-rcnn', 'resnet34'), 128, 400, tmp_path, tmp_path / 'p')
    assert cfg.model.backbone.depth == 34 and 'base_channels' not in cfg.model.backbone
    assert cfg.model.neck.in_channels == [64, 128, 256, 512] and cfg.model.neck.out_channels == 256
    # What is left behind is as wide as the recipe has it.
    assert (cfg.model.projector.hid_channels, cfg.model.projector.out_channels) == (512, 128)
