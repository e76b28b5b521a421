"""The scripts of docs/into_your_detector.md, run as they stand on a pretraining of ResNet-50 with random weights."""

import re
import runpy
import shutil
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsoco.checkpoints.extract import extract
from mmsoco.registry import MODELS

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('examples')
    yield folder
    shutil.rmtree(folder)  # some hundred megabytes


@pytest.fixture(scope='module')
def checkpoint(root, folder):
    """Of the paper's recipe; without the moving average, to write less."""
    cfg = Config.fromfile(root / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py')
    with DefaultScope.overwrite_default_scope('mmsoco'):
        weights = MODELS.build(cfg.model).state_dict()
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith('target.')}
    torch.save({'state_dict': weights, 'meta': {'epoch': 100}}, folder / 'epoch_100.pth')
    return folder / 'epoch_100.pth'


@pytest.fixture
def run(root, monkeypatch, capsys, tmp_path):
    """A function that runs a script elsewhere than in the checkout, and returns what it printed."""

    def run(name, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        runpy.run_path(str(root / 'docs/examples' / name), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_timm(run, checkpoint, folder):
    path, _ = extract(checkpoint, folder / 'timm.safetensors', 'timm')
    out = run('into_timm.py', path)
    assert 'features of an image: (1, 2048)' in out
    assert 'maps: (256, 56, 56) (512, 28, 28) (1024, 14, 14) (2048, 7, 7)' in out


def test_torchvision(run, checkpoint, folder):
    path, _ = extract(checkpoint, folder / 'torchvision.safetensors', 'torchvision-fpn')
    out = run('into_torchvision.py', path)
    new = re.search('new, as no labels were seen: (.*)', out)[1].split()
    assert new == ['roi_heads.box_predictor', 'roi_heads.mask_head', 'roi_heads.mask_predictor', 'rpn.head']
    assert 'loss_mask' in out


def test_detectron2(run, checkpoint, folder):
    path, _ = extract(checkpoint, folder / 'detectron2.pkl', 'detectron2')
    assert 'tensors, each with a place: backbone, FPN, box head' in run('into_detectron2.py', path)


def test_detectron2_says_what_does_not_fit(run, root, folder, tiny_model_cfg, capsys):
    torch.save({'state_dict': MODELS.build(tiny_model_cfg).state_dict()}, folder / 'tiny.pth')
    path, _ = extract(folder / 'tiny.pth', folder / 'tiny.pkl', 'detectron2')
    with pytest.raises(AssertionError):
        run('into_detectron2.py', path)
    out = capsys.readouterr().out
    assert 'only in the architecture: backbone.bottom_up.res2.0.conv3.weight' in out
    assert 'backbone.bottom_up.stem.conv1.weight: (8, 3, 7, 7) in the file, (64, 3, 7, 7) in the architecture' in out


def test_mmdet(run, checkpoint, tmp_path):
    out = run('into_mmdet.py', checkpoint, 'mask-rcnn_mine.py')
    rows = {line.split()[0]: line for line in out.splitlines() if re.search(r'\d  (loaded|new|left)', line)}
    assert all('loaded' in rows[part] for part in ('backbone', 'neck', 'roi_head.bbox_head.shared_convs'))
    assert 'new: not part of these weights' in rows['rpn_head']
    # What it writes is a whole config of mmdet.
    cfg = Config.fromfile(tmp_path / 'mask-rcnn_mine.py')
    assert cfg.load_from == str(checkpoint) and cfg.train_dataloader.dataset.type == 'CocoDataset'
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert MODELS.build(cfg.model).neck.lateral_convs[0].bn.training
