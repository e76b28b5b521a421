"""From images of 1, 4 and 13 channels to a detector, by the recipes of configs/channels."""

import json
from pathlib import Path

import pytest
import torch
from channel_images import write_images
from mmengine.config import Config
from shrinking import shrink, shrink_detector

from mmsoco.engine.launch import test as evaluate
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.images.reading import Reading
from mmsoco.probe.run import probe
from mmsoco.proposals.channel_statistics import measure_channels
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.selective_search import SearchParameters
from mmsoco.proposals.search.folder import search_folder
from mmsoco.registry import TRANSFORMS

CONFIGS = Path(__file__).parents[2] / 'configs/channels'
NAMES = {1: '1channel', 4: '4channels', 13: '13channels'}


def config(kind, count):
    name = {'soco': f'soco_r18fpn_{NAMES[count]}', 'detector': f'faster-rcnn_r18fpn_{NAMES[count]}_soco'}[kind]
    return CONFIGS / f'{name}.py'


def test_there_is_no_other_config():
    named = {config(kind, count) for kind in ('soco', 'detector') for count in NAMES}
    assert named == set(CONFIGS.glob('*.py'))


@pytest.mark.parametrize('count', NAMES)
def test_pretraining_config(count):
    cfg = Config.fromfile(config('soco', count))
    dataset = cfg.train_dataloader.dataset
    assert cfg.model.backbone.in_channels == dataset.channels == count
    transform = TRANSFORMS.build(dataset.pipeline.multi_view)
    names = {view: [type(step).__name__ for step in steps] for view, steps in transform.augments.items()}
    common = ['HorizontalFlip', 'ChannelJitter', 'GaussianBlur']
    assert names == {'v1': common, 'v2': [*common, 'Solarize'], 'v3': [*common, 'Solarize']}


@pytest.mark.parametrize('count', NAMES)
def test_detector_config(count):
    cfg = Config.fromfile(config('detector', count))
    assert cfg.model.backbone.in_channels == count
    assert cfg.model.data_preprocessor.type == 'mmsoco.ChannelDetDataPreprocessor'
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        load = loader.dataset.pipeline[0]
        assert (load.type, load.channels) == ('mmsoco.LoadImageFromFile', count)


def annotate(path, scenes):
    images, annotations = [], []
    for i, (name, (pixels, boxes)) in enumerate(scenes.items()):
        images.append(dict(id=i, file_name=name, width=pixels.shape[1], height=pixels.shape[0]))
        for x1, y1, x2, y2 in boxes.tolist():
            box = dict(bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1), iscrowd=0, category_id=1)
            annotations.append(dict(id=len(annotations) + 1, image_id=i, **box))
    truth = dict(images=images, annotations=annotations, categories=[dict(id=1, name='object')])
    path.write_text(json.dumps(truth))


def detector_options(count, scenes, checkpoint, statistics):
    options = shrink_detector(config('detector', count))
    options |= {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'default_hooks.checkpoint.interval': 2}
    options |= {f'{loader}_dataloader.num_workers': 0 for loader in ('train', 'val', 'test')}
    options |= {f'{loader}_dataloader.persistent_workers': False for loader in ('train', 'val', 'test')}
    return options | {'load_from': str(checkpoint), **statistics}


@pytest.mark.slow
@pytest.mark.parametrize('count', NAMES)
def test_from_the_folder_to_the_detector(count, tmp_path, monkeypatch):
    folder = tmp_path / 'scenes'
    monkeypatch.setenv('SCENES', str(folder))
    folder.mkdir()
    for part in ('train', 'test'):
        annotate(folder / f'{part}.json', write_images(folder / part, count))
    search_folder(folder / 'train', tmp_path / 'raw', SearchParameters(min_size=20), reading=Reading(count))
    proposals = tmp_path / 'proposals.arrow'
    served = filter_folder(tmp_path / 'raw', proposals, ProposalFilter(size=(0.1, 0.9), min_side=8))
    assert sum(served.values()) == 8
    options = shrink(config('soco', count), folder / 'train', proposals, channels=64)

    # Without mean and standard deviation of these images, and with a backbone for others.
    with pytest.raises(UserError, match=rf'have {count} channels, .* of 3; measure them by mmsoco statistics'):
        train(config('soco', count), str(tmp_path / 'none'), options=options)
    measured = measure_channels(proposals)
    statistics = {'model.data_preprocessor.mean': measured.mean, 'model.data_preprocessor.std': measured.std}
    options |= statistics
    words = (
        rf'backbone.conv1 takes images of 7 channels, and these have {count}; set model.backbone.in_channels={count}'
    )
    with pytest.raises(UserError, match=words):
        train(config('soco', count), str(tmp_path / 'other'), options={**options, 'model.backbone.in_channels': 7})

    train(config('soco', count), str(tmp_path / 'soco'), options=options)
    checkpoint = tmp_path / 'soco/iter_4.pth'
    meta = torch.load(checkpoint, weights_only=True)['meta']['pretraining']
    assert meta['channels'] == count and meta['mean'] == measured.mean
    assert meta['reading']['channels'] == count and meta['deep'] == (count != 1)
    assert 'in another view' in probe(checkpoint, boxes=20)

    given = detector_options(count, folder, checkpoint, statistics)
    runner = train(config('detector', count), str(tmp_path / 'detector'), options=given)
    assert runner.iter == 2 and 'val/coco/bbox_mAP' in runner.message_hub.log_scalars
    assert 'Weights to begin from' in next((tmp_path / 'detector').glob('*/*.log')).read_text()
    metrics = evaluate(
        config('detector', count), str(tmp_path / 'detector/iter_2.pth'), str(tmp_path / 'test'), options=given
    )
    assert 'coco/bbox_mAP' in metrics

    def refused(words, **others):
        others = {key.replace('__', '.'): value for key, value in others.items()}
        with pytest.raises(UserError, match=words):
            train(config('detector', count), str(tmp_path / 'refused'), options={**given, **others})

    shown = 'sees other images than the pretraining did; set in its data_preprocessor mean='
    refused(shown, model__data_preprocessor__mean=[value + 5 for value in measured.mean])
    refused(shown, model__data_preprocessor__std=[value + 5 for value in measured.std])
    words = rf"LoadImageFromFile, dict\(type='mmsoco.LoadImageFromFile', channels={count}, value_range='file'\)"
    refused(words, train_dataloader__dataset__pipeline__0__value_range='type')
    refused(f'val_dataloader reads .*{words}', val_dataloader__dataset__pipeline__0__channels=count + 1)
    refused(
        f"the pretraining's images have {count} channels, the model's 2; give its backbone in_channels={count}",
        model__backbone__in_channels=2,
        model__data_preprocessor=dict(
            _delete_=True, type='mmsoco.ChannelDetDataPreprocessor', mean=[1.0, 2.0], std=[1.0, 2.0]
        ),
    )
