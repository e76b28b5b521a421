"""Promise 3: a proposal file names only images below the root, and links that its maker followed."""

import shutil

import cv2
import numpy as np
import pytest
from unchecked import row, write_unchecked

from mmsoco.datasets import ProposalDataset
from mmsoco.errors import UserError
from mmsoco.proposals.checks import check_images
from mmsoco.proposals.convert import import_boxes
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.grid import GridBoxes
from mmsoco.proposals.generators.random import RandomBoxes
from mmsoco.proposals.search.folder import search_folder
from mmsoco.proposals.store import ProposalStore, write_proposals


@pytest.mark.parametrize(
    'name',
    ['', '/a.jpg', '../a.jpg', 'a/../../b.jpg', 'a/..', './a.jpg', 'a/./b.jpg', 'a//b.jpg', 'a/', 'a\0.jpg', '..'],
)
def test_a_name_that_is_no_path_below_the_root(tmp_path, name):
    path = write_unchecked(tmp_path / 'p.arrow', [row(), row(name), row('z.jpg')], {})
    with pytest.raises(UserError, match=r'p\.arrow: row 1 \(.*\) is no path below a folder'):
        ProposalStore.open(path)
    with pytest.raises(UserError, match=r'q\.arrow would not be read again: row 0 .* is no path below a folder'):
        write_proposals(tmp_path / 'q.arrow', [row(name)], {})
    assert not (tmp_path / 'q.arrow').exists()


@pytest.mark.parametrize('name', ['a.jpg', '.hidden/b', '...', '..a/b..', 'a b/c\\d.jpg', 'é\n.jpg', '-', 'a/..b'])
def test_a_name_that_is_one(tmp_path, name):
    path = write_unchecked(tmp_path / 'p.arrow', [row(name)], {})
    assert ProposalStore.open(path)[0].file_name == name


@pytest.fixture
def linked(tmp_path):
    """A root with an image, a link to a folder elsewhere, one to a file elsewhere, and one that stays inside."""
    elsewhere, root = tmp_path / 'elsewhere', tmp_path / 'root'
    for folder in (elsewhere / 'deep', root / 'own'):
        folder.mkdir(parents=True)
    for path in (elsewhere / 'deep' / 'a.png', elsewhere / 'b.png', root / 'own' / 'c.png'):
        assert cv2.imwrite(str(path), np.zeros((30, 40, 3), np.uint8))
    (root / 'folder').symlink_to(elsewhere / 'deep')
    (root / 'own' / 'file.png').symlink_to(elsewhere / 'b.png')
    (root / 'again').symlink_to(root / 'own')
    return root


def elsewhere(root):
    return str((root.parent / 'elsewhere').resolve())


@pytest.mark.parametrize(
    ('name', 'place'), [('folder/a.png', 'folder'), ('own/file.png', 'own'), ('again/file.png', 'again')]
)
def test_a_link_that_the_file_does_not_know(linked, tmp_path, name, place):
    path = write_unchecked(tmp_path / 'p.arrow', [row('own/c.png'), row(name)], dict(root=str(linked)))
    store = ProposalStore.open(path)
    with pytest.raises(UserError, match=rf'names {name}, which links in .*, at {place}, lead to {elsewhere(linked)}'):
        check_images(store, linked, sample=0)
    with pytest.raises(UserError, match='follow_links=True'):
        ProposalDataset.prepare(dict(proposal_file=str(path)), seed=0)
    # The user's word counts.
    check_images(store, linked, follow_links=True)
    ProposalDataset.prepare(dict(proposal_file=str(path), follow_links=True), seed=0)
    assert len(ProposalDataset(path, [], follow_links=True)) == 2


def test_links_within_the_root_and_a_root_that_is_one(linked, tmp_path):
    (tmp_path / 'link').symlink_to(linked)
    path = write_unchecked(tmp_path / 'p.arrow', [row('again/c.png'), row('own/c.png')], dict(root=str(linked)))
    for root in (linked, tmp_path / 'link'):
        check_images(ProposalStore.open(path), root)


@pytest.mark.parametrize('generator', [GridBoxes(), RandomBoxes()])
def test_folders_that_are_linked_together_are_searched_filtered_and_trained_on(linked, tmp_path, generator):
    search_folder(linked, tmp_path / 'raw', generator, shard_size=2)
    filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter(min_side=4))
    store = ProposalStore.open(tmp_path / 'p.arrow')
    # What a second link leads to is there once.
    assert list(store.names()) == ['folder/a.png', 'own/c.png', 'own/file.png']
    out = elsewhere(linked)
    assert store.header['links'] == {'folder': [f'{out}/deep'], 'own': [out]}
    check_images(store, linked)
    # The same search goes on, also with shards of before links were known.
    search_folder(linked, tmp_path / 'raw', generator, shard_size=2)
    # Led elsewhere, a link is another one.
    other = shutil.copytree(tmp_path / 'elsewhere', tmp_path / 'other')
    (linked / 'folder').unlink()
    (linked / 'folder').symlink_to(other / 'deep')
    with pytest.raises(UserError, match=rf'at folder, lead to {other}/deep'):
        check_images(store, linked)
    with pytest.raises(UserError, match=r'was made with links\.folder'):
        search_folder(linked, tmp_path / 'raw', generator, shard_size=2)


def test_imported_boxes_know_their_links(linked, tmp_path):
    (tmp_path / 'b.csv').write_text('file_name,x1,y1,x2,y2\nfolder/a.png,0,0,5,5\n')
    import_boxes(tmp_path / 'b.csv', tmp_path / 'p.arrow', linked)
    store = ProposalStore.open(tmp_path / 'p.arrow')
    assert store.header['links'] == {'folder': [f'{elsewhere(linked)}/deep']}
    check_images(store, linked)


def test_a_link_behind_a_known_link_counts_when_it_leads_further(linked, tmp_path):
    further = tmp_path / 'further'
    further.mkdir()
    (tmp_path / 'elsewhere' / 'deep' / 'more').symlink_to(further)
    store = ProposalStore.open(
        write_unchecked(
            tmp_path / 'p.arrow', [row('folder/more/x.png')], {'links': {'folder': [f'{elsewhere(linked)}/deep']}}
        )
    )
    with pytest.raises(UserError, match=f'at folder/more, lead to {further}'):
        check_images(store, linked)


def test_files_without_links_do_not_speak_of_them(images, proposal_file):
    assert 'links' not in ProposalStore.open(proposal_file).header
