"""Probing of images of other than three channels."""

import json

import numpy as np
import pytest
from channel_images import write_images

from mmsoco.datasets.transforms import ChannelJitter
from mmsoco.datasets.transforms.views import Region, resample
from mmsoco.errors import UserError
from mmsoco.images.reading import Reading
from mmsoco.probe.data import labelled_boxes, labelled_images, matched_views, probe_pipeline, reading_of
from mmsoco.probe.features import BoxFeatures
from mmsoco.proposals.store import ProposalRow, write_proposals
from mmsoco.registry import MODELS, TRANSFORMS


@pytest.fixture
def scenes(tmp_path):
    found = write_images(tmp_path / 'images', 4)
    rows = [ProposalRow(name, 120, 96, boxes.astype(np.int32)) for name, (_, boxes) in found.items()]
    header = {'kind': 'filtered', 'root': str(tmp_path / 'images'), **Reading(4).describe()}
    write_proposals(tmp_path / 'p.arrow', rows, header)
    return found


@pytest.fixture
def model(tiny_model_cfg):
    cfg = {**tiny_model_cfg, 'data_preprocessor': dict(type='mmsoco.SoCoDataPreprocessor', mean=[9] * 4, std=[5] * 4)}
    cfg['backbone'] = {**cfg['backbone'], 'in_channels': 4}
    return MODELS.build(cfg)


def test_views_have_the_channels_of_the_proposal_file(scenes, tmp_path, model):
    assert reading_of(tmp_path / 'p.arrow') == Reading(4)
    matched = matched_views(tmp_path / 'p.arrow', held_out=4, size=64, boxes=8, num_proposals=2)
    assert matched.views[0].shape[1:] == matched.views[1].shape[1:] == (64, 64, 4)
    features = BoxFeatures(model).of_boxes(matched.views[0], matched.boxes[0])
    assert all(np.isfinite(part.numpy()).all() for part in features.values())


def test_colour_has_its_counterpart():
    kinds = [type(TRANSFORMS.build(step)) for step in probe_pipeline(64, 2, 4)[2]['views'][0]['augment']]
    assert ChannelJitter in kinds and len(kinds) == 3
    names = [step['type'] for step in probe_pipeline(64, 2)[2]['views'][1]['augment']]
    assert names == ['HorizontalFlip', 'ColorJitter', 'Grayscale', 'GaussianBlur', 'Solarize']


def test_labelled_images_are_read_alike(scenes, tmp_path):
    images = [dict(id=i, file_name=name, width=120, height=96) for i, name in enumerate(scenes)]
    boxes = [dict(image_id=i, category_id=1, bbox=[6, 8, 30, 30], iscrowd=0) for i in range(len(images))]
    truth = dict(images=images, annotations=boxes, categories=[dict(id=1, name='a')])
    (tmp_path / 'labels.json').write_text(json.dumps(truth))
    found = labelled_boxes(tmp_path / 'labels.json', tmp_path / 'images', 32, reading=Reading(4))
    assert found.views.shape == (8, 32, 32, 4)
    for kind in ('a', 'b'):
        write_images(tmp_path / 'classes' / kind, 4, number=2)
    views = labelled_images(tmp_path / 'classes', 32, reading=Reading(4)).views.numpy()
    expected = [resample(pixels, Region(0, 0, 120, 96), 32) for pixels, _ in list(scenes.values())[:2]]
    assert views.shape == (4, 32, 32, 4)
    assert all(any(np.array_equal(view, one) for one in expected) for view in views)


def test_images_that_a_model_is_not_for(proposal_file, model):
    matched = matched_views(proposal_file, held_out=4, size=64, boxes=8, num_proposals=2)
    with pytest.raises(UserError, match='images have 3 channels, the model is for 4; give a proposal file'):
        BoxFeatures(model).of_boxes(matched.views[0], matched.boxes[0])
