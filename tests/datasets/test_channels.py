"""Data sets of images of other than three channels."""

import numpy as np
import pytest
from channel_images import write_images

from mmsoco.datasets import ProposalDataset
from mmsoco.errors import UserError
from mmsoco.images.reading import Reading
from mmsoco.proposals.store import ProposalRow, write_proposals

LOAD = [dict(type='mmsoco.LoadImage')]


def proposals_of(root, scenes, reading, **header):
    rows = [ProposalRow(name, 120, 96, boxes.astype(np.int32)) for name, (_, boxes) in scenes.items()]
    path = root.with_name(f'{root.name}.arrow')
    write_proposals(path, rows, {'kind': 'filtered', 'root': str(root), **reading.describe(), **header})
    return path


@pytest.mark.parametrize(('count', 'ending'), [(1, '.png'), (4, '.tif'), (13, '.tif'), (13, '.npy')])
def test_all_channels_of_the_images_are_given(count, ending, tmp_path):
    scenes = write_images(tmp_path / 'images', count, number=2, ending=ending)
    file = proposals_of(tmp_path / 'images', scenes, Reading(count), met={'uint16': {}} if count == 4 else {})
    dataset = ProposalDataset(file, LOAD, channels=count)
    for i, (pixels, _) in enumerate(scenes.values()):
        sample = dataset[0, i]
        assert sample['img'].shape == pixels.shape and sample['img'].dtype == np.uint8
        np.testing.assert_array_equal(sample['img'], pixels)
    reading = {'channels': count, 'value_range': 'file', 'triple': None}
    assert dataset.describe() == {'reading': reading, 'deep': count == 4}


def test_other_channels_than_the_proposal_files_are_refused_at_the_start(tmp_path):
    scenes = write_images(tmp_path / 'images', 4, number=2)
    file = proposals_of(tmp_path / 'images', scenes, Reading(4))
    words = r'is of images of 4 channels, the config of 13; set train_dataloader.dataset.channels=4 .*--channels 13'
    with pytest.raises(UserError, match=words):
        ProposalDataset(file, LOAD, channels=13)
    with pytest.raises(UserError, match='of 4 channels, the config of 3'):
        ProposalDataset.prepare(dict(proposal_file=file), 0)
    ProposalDataset.prepare(dict(proposal_file=file, channels=4), 0)


def test_more_channels_than_opencv_takes(tmp_path):
    scenes = write_images(tmp_path / 'images', 1, number=1)
    file = proposals_of(tmp_path / 'images', scenes, Reading(513))
    with pytest.raises(UserError, match='513 channels are more than OpenCV takes'):
        ProposalDataset(file, LOAD, channels=513)


def test_rgb_says_nothing_of_its_reading(proposal_file):
    assert ProposalDataset(proposal_file, LOAD).describe() == {'deep': False}
