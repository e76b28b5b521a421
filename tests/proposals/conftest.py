import shutil

import pytest

from mmsoco.proposals.search.folder import search_folder


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
