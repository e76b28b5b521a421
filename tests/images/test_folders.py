import os

import pytest

from mmsoco.errors import UserError
from mmsoco.images.folders import list_images


def test_list_is_sorted_recursive_and_without_hidden_or_other_files(tmp_path):
    wanted = ['B.PNG', 'a.jpg', 'sub/deep/c.tiff', 'sub/z.webp']
    others = ['notes.txt', '.hidden.jpg', '.cache/d.jpg', 'sub/.e/f.jpg', 'jpg', 'a.jpg.part']
    for name in reversed(wanted + others):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list_images(tmp_path) == wanted


def test_list_follows_links_to_folders(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'a.jpg').touch()
    (tmp_path / 'root').mkdir()
    (tmp_path / 'root' / 'link').symlink_to(tmp_path / 'elsewhere')
    assert list_images(tmp_path / 'root') == ['link/a.jpg']


def test_list_of_a_missing_folder(tmp_path):
    with pytest.raises(UserError, match='gone is not a folder; give the folder that holds the images'):
        list_images(tmp_path / 'gone')


def test_list_of_a_folder_without_images(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(UserError, match=r'holds no images; files ending in \.bmp, .*\.jpg.* are looked for'):
        list_images(tmp_path)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    """Neither a list nor a proposal file could hold it."""
    with open(os.fsencode(tmp_path) + b'/\xe9.png', 'wb'):
        pass
    with pytest.raises(UserError, match=r"has a file whose name is not UTF-8: '\\udce9\.png'; rename it"):
        list_images(tmp_path)
