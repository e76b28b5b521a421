import shutil

import cv2
import numpy as np
import pytest
from box_files import BOXES, SIZE

from mmsoco.proposals.search.folder import search_folder
from mmsoco.proposals.store import ProposalRow, write_proposals


@pytest.fixture(scope='session')
def raw(images, tmp_path_factory):
    """Eight images in three shards; not to be changed."""
    folder = tmp_path_factory.mktemp('searched') / 'raw'
    result = search_folder(images, folder, shard_size=3)
    assert (result.total, result.done, result.searched, result.failures) == (8, 8, 8, {})
    return folder


@pytest.fixture
def copy(raw, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(raw, tmp_path / 'copy')


@pytest.fixture(scope='session')
def root(tmp_path_factory):
    """Three images of 40x30 px in two folders, as ImageNet has them."""
    root = tmp_path_factory.mktemp('train')
    for name in BOXES:
        (root / name).parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(root / name), np.zeros((30, 40, 3), np.uint8))
    return root


@pytest.fixture
def store(root, tmp_path):
    rows = [ProposalRow(name, *SIZE, np.array(boxes, int).reshape(-1, 4)) for name, boxes in BOXES.items()]
    write_proposals(tmp_path / 'ours.arrow', rows, dict(root=str(root)))
    return tmp_path / 'ours.arrow'
