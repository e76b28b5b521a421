from pathlib import Path

import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.checks import check_images, links_entry
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals


def write_store(folder, names, root='/old/images'):
    rows = [ProposalRow(name, 10, 10, np.array([[0, 0, 10, 10]])) for name in names]
    write_proposals(folder / 'proposals.arrow', rows, dict(root=root))
    return ProposalStore.open(folder / 'proposals.arrow')


def test_check_images_refuses_another_folder_and_names_both(tmp_path):
    store = write_store(tmp_path, [f'{i}.jpg' for i in range(40)])
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'stranger.jpg').touch()
    with pytest.raises(UserError) as error:
        check_images(store, other)
    for part in ('/old/images', str(other), 'proposals.arrow', '0.jpg'):
        assert part in str(error.value)


def test_check_images_refuses_what_is_no_folder(tmp_path):
    store = write_store(tmp_path, ['a.jpg'])
    with pytest.raises(UserError, match='gone is not a folder'):
        check_images(store, tmp_path / 'gone')


@pytest.mark.parametrize('count', [1, 3, 16, 40])
def test_check_images_accepts_the_folder_wherever_it_is(tmp_path, count):
    names = [f'sub/{i}.jpg' for i in range(count)]
    store = write_store(tmp_path, names)
    (tmp_path / 'moved' / 'sub').mkdir(parents=True)
    for name in names:
        (tmp_path / 'moved' / name).touch()
    check_images(store, tmp_path / 'moved')


def test_check_images_tolerates_a_few_missing_files(tmp_path):
    names = [f'{i:02d}.jpg' for i in range(16)]
    store = write_store(tmp_path, names)
    root = Path(tmp_path, 'root')
    root.mkdir()
    for name in names[4:]:
        (root / name).touch()
    check_images(store, root)
    for name in names[4:10]:
        (root / name).unlink()
    with pytest.raises(UserError, match='has not its images'):
        check_images(store, root)


def test_check_images_of_a_file_without_rows_is_no_crash(tmp_path):
    """What filtering makes when no image could be read."""
    store = write_store(tmp_path, [])
    try:
        check_images(store, tmp_path)
    except UserError as error:
        assert 'proposals.arrow' in str(error)


def test_links_to_archives_that_lie_elsewhere_are_known(tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'root').mkdir()
    (tmp_path / 'root' / 'x.tar').symlink_to(tmp_path / 'out' / 'x.tar')
    assert links_entry(tmp_path / 'root', ['x.tar/a/1.jpg']) == {'links': {'x.tar': [str(tmp_path / 'out' / 'x.tar')]}}
