import pytest
import torch
from mmengine.config import Config

from mmsoco.config import read_config
from mmsoco.datasets.transforms import MultiViewProposalPipeline
from mmsoco.engine.photometry import place_photometry
from mmsoco.models import SoCoDataPreprocessor
from mmsoco.registry import MODELS, TRANSFORMS


class MyPreprocessor(SoCoDataPreprocessor):
    pass


class OtherPreprocessor(torch.nn.Module):
    pass


class MyPipeline(MultiViewProposalPipeline):
    pass


def config(pipeline=None, **model):
    step = {'type': 'mmsoco.MultiViewProposalPipeline', **(pipeline or {})}
    return Config(dict(model=model, train_dataloader=dict(dataset=dict(pipeline=[dict(type='LoadImage'), step]))))


def placed(cfg):
    return place_photometry(cfg), cfg.train_dataloader.dataset.pipeline[1].get('photometry', 'loader')


LOADER = ['colour, blur and solarisation: in the loader']
DEVICE = ['colour, blur and solarisation: on the device, as the loader draws them']


@pytest.mark.parametrize(('cuda', 'notes'), [(False, LOADER), (True, DEVICE)])
def test_a_recipe_does_it_on_the_device_with_cuda(recipe, monkeypatch, cuda, notes):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    cfg = read_config(recipe)
    assert place_photometry(cfg) == notes
    step = cfg.train_dataloader.dataset.pipeline.multi_view
    assert step.get('photometry') == ('device' if cuda else None)
    TRANSFORMS.build({**step, 'type': 'mmsoco.MultiViewProposalPipeline'})


def test_a_config_may_fix_it(recipe, monkeypatch):
    key = 'train_dataloader.dataset.pipeline.multi_view.photometry'
    for cuda, place, notes in ((True, 'loader', LOADER), (False, 'device', DEVICE)):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda cuda=cuda: cuda)
        assert place_photometry(read_config(recipe, {key: place})) == notes


def test_what_may_not_know_of_it_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert placed(config()) == (DEVICE, 'device')
    assert placed(config(data_preprocessor=dict(type=MyPreprocessor))) == (DEVICE, 'device')
    assert placed(config(data_preprocessor=dict(type='mmsoco.SoCoDataPreprocessor'))) == (DEVICE, 'device')
    assert placed(config(data_preprocessor=dict(type=OtherPreprocessor))) == (LOADER, 'loader')
    assert placed(config(dict(type=MyPipeline))) == ([], 'loader')
    assert MODELS.get('mmsoco.SoCoDataPreprocessor') is SoCoDataPreprocessor
    # A data set without such steps.
    assert place_photometry(Config(dict(model={}, train_dataloader=dict(dataset=dict(type='Other'))))) == []
