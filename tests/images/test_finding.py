import os
import stat
import tarfile
import zipfile

import pytest

from mmsoco.errors import UserError
from mmsoco.images.finding import common_root, find_images, list_images

JPEG = b'\xff\xd8\xff\xe0' + bytes(60)


def make(root, *names, content=b''):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def archive(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_list_is_sorted_recursive_and_without_hidden_or_other_files(tmp_path):
    wanted = ['B.PNG', 'a.jpg', 'sub/deep/c.tiff', 'sub/z.webp']
    others = ['notes.txt', '.hidden.jpg', '.cache/d.jpg', 'sub/.e/f.jpg', 'jpg', 'a.jpg.part']
    make(tmp_path, *reversed(wanted + others))
    assert list_images(tmp_path) == wanted


def test_what_is_passed_over_is_counted_by_kind(tmp_path):
    make(
        tmp_path,
        'a.jpg',
        'b.txt',
        'sub/c.TXT',
        'README',
        'x.tar.gz',
        '._a.jpg',
        'Thumbs.db',
        '.git/d.jpg',
        '__MACOSX/e.jpg',
    )
    os.mkfifo(tmp_path / 'f.jpg')
    found = find_images(tmp_path)
    assert found.names == ['a.jpg']
    assert found.passed_over == {
        '.txt': 2,
        'without an ending': 1,
        '.tar.gz': 1,
        'hidden file': 2,
        'hidden folder': 2,
        'pipe': 1,
    }
    assert found.lines() == [
        'passed over: 2 .txt, 2 hidden files, 2 hidden folders, 1 .tar.gz, 1 pipe, 1 without an ending',
        'compressed archives are not read; unpack them, or make them plain .tar by gunzip',
    ]


def test_many_kinds_are_a_line_that_can_be_read(tmp_path):
    make(tmp_path, 'a.jpg', *(f'{i}.x{i % 20:02d}' for i in range(40)))
    assert 'of 8 other kinds' in find_images(tmp_path).lines()[0]


def test_images_that_are_called_otherwise(tmp_path):
    make(tmp_path, 'a.jpg')
    make(tmp_path, 'b', 'c.data', 'd.jpg_large', content=JPEG)
    make(tmp_path, 'e.webp_', content=b'RIFF\0\0\0\0WEBPVP8 ')
    make(tmp_path, 'f.nef', content=b'II*\0' + bytes(60))  # a camera's: its own small copy is no image to take
    make(tmp_path, 'g.data', 'h.dat', content=b'BMW')
    found = find_images(tmp_path)
    assert found.names == ['a.jpg'] and found.passed_over.total() == 7
    assert found.misnamed == {'without an ending': 1, '.data': 1, '.jpg_large': 1, '.webp_': 1}
    assert found.lines()[1].startswith('4 of them look like images but have another ending (')
    assert found.lines()[1].endswith('): rename them')


def test_of_an_ending_that_is_never_an_image_only_some_are_looked_into(tmp_path, monkeypatch):
    make(tmp_path, 'a.jpg', *(f'{i}.txt' for i in range(30)))
    make(tmp_path, *(f'{i}.data' for i in range(30)), content=JPEG)
    monkeypatch.setattr('mmsoco.images.finding._LOOKS', 5)
    opened = []
    from mmsoco.images import finding

    real = finding.open_image
    monkeypatch.setattr(finding, 'open_image', lambda path: opened.append(path) or real(path))
    assert find_images(tmp_path).misnamed == {'.data': 30}
    assert len(opened) == 35


def test_a_missing_folder(tmp_path):
    with pytest.raises(UserError, match='gone is not a folder; give the folder that holds the images'):
        list_images(tmp_path / 'gone')
    with pytest.raises(UserError, match=r'a\.jpg is not a folder; .*, or a zip or tar file: it is neither'):
        list_images(make(tmp_path, 'a.jpg', content=JPEG) / 'a.jpg')


def test_a_folder_without_images(tmp_path):
    make(tmp_path, 'sub/notes.txt')
    with pytest.raises(UserError, match=r'holds no images; files ending in .*\.jpg.* looked for; passed over: 1 \.txt'):
        list_images(tmp_path)
    make(tmp_path, 'other/a.jpg')
    with pytest.raises(UserError, match='sub holds no images'):
        find_images(tmp_path / 'other', tmp_path / 'sub')


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    """Neither a list nor a proposal file could hold it."""
    with open(os.fsencode(tmp_path) + b'/\xe9.png', 'wb'):
        pass
    with pytest.raises(UserError, match=r"has a file whose name is not UTF-8: '\\udce9\.png'; rename it"):
        list_images(tmp_path)


def test_links_to_folders_are_followed(tmp_path):
    make(tmp_path, 'elsewhere/a.jpg', 'root/b.jpg')
    (tmp_path / 'root' / 'link').symlink_to(tmp_path / 'elsewhere')
    assert list_images(tmp_path / 'root') == ['b.jpg', 'link/a.jpg']


def test_each_real_file_is_found_once_whatever_the_links(tmp_path):
    root, out = make(tmp_path / 'root', 'sub/a.jpg', 'sub/b.jpg', 'z.jpg'), make(tmp_path / 'out', 'c.jpg', 'in/d.jpg')
    for link, target in {
        'sub/up': root,  # a loop
        '0': root / 'sub',  # comes first by name, but is no folder of its own
        'l1': out,
        'deep/l2': out,
        'l3': out / 'in',
        'd.jpg': out / 'in' / 'd.jpg',
        'e.jpg': root / 'z.jpg',
        'self.jpg': root / 'self.jpg',
        'gone.jpg': root / 'nowhere.jpg',
    }.items():
        (root / link).parent.mkdir(exist_ok=True)
        (root / link).symlink_to(target)
    found = find_images(root)
    # What leads nowhere is an image that cannot be read, and fails by its name.
    assert found.names == ['gone.jpg', 'l1/c.jpg', 'l1/in/d.jpg', 'self.jpg', 'sub/a.jpg', 'sub/b.jpg', 'z.jpg']
    assert found.passed_over == {
        'link to a folder that is read already': 4,
        'link to a file that is read already': 2,
    }


def test_of_files_that_only_links_lead_to_the_first_name_is_kept(tmp_path):
    """As a cache keeps them: blobs by checksum, and links with names."""
    root = make(tmp_path, 'blobs/0a1b', 'blobs/2c3d', content=JPEG)
    for name, blob in {'v1/x.jpg': '0a1b', 'v2/x.jpg': '0a1b', 'v2/deep/y.jpg': '2c3d'}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(root / 'blobs' / blob)
    found = find_images(root)
    assert found.names == ['v1/x.jpg', 'v2/deep/y.jpg']
    # The blobs are images, and read: nothing is to be renamed.
    assert found.misnamed == {} and found.passed_over['link to a file that is read already'] == 1


def test_hard_links_are_one_file(tmp_path):
    make(tmp_path, 'b/1.jpg', '2.jpg')
    (tmp_path / 'a' / 'deep').mkdir(parents=True)
    for name in ('a/1.jpg', 'a/deep/1.jpg', 'c.jpg'):
        os.link(tmp_path / 'b/1.jpg', tmp_path / name)
    found = find_images(tmp_path)
    assert found.names == ['2.jpg', 'c.jpg']
    assert found.lines() == ['passed over: 3 other names of a file that is read already']


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    """Half of the data would be left out."""
    make(tmp_path, 'a/1.jpg', 'b/2.jpg', 'c/3.jpg')
    real = os.scandir

    def scandir(path):
        if str(path).endswith(('/b', '/c')):
            raise PermissionError(13, 'Permission denied', str(path))
        return real(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    with pytest.raises(UserError, match=r'^2 folders cannot be read.*/[bc]: Permission denied; make it readable'):
        find_images(tmp_path)


def test_several_folders_and_archives_lie_in_their_common_folder(tmp_path):
    a, b = make(tmp_path, 'd/a/1.jpg') / 'd' / 'a', make(tmp_path, 'd/b/sub/2.jpg') / 'd' / 'b'
    c = archive(tmp_path / 'd' / 'c.zip', {'x/3.jpg': b'', 'notes.txt': b''})
    found = find_images(b, c, a, b / 'sub', tmp_path / 'd' / 'b' / '..' / 'a')
    assert found.root == tmp_path / 'd' and found.names == ['a/1.jpg', 'b/sub/2.jpg', 'c.zip/x/3.jpg']
    assert found.lines() == ['1 archive with 1 images', 'passed over: 1 .txt']
    assert find_images(c).root == tmp_path / 'd' and find_images(c).names == ['c.zip/x/3.jpg']
    assert list_images(c) == ['x/3.jpg']
    assert common_root([a, b / 'sub']) == tmp_path / 'd' and common_root([a]) == a and common_root([c]) == c.parent


def test_an_archive_that_links_lead_to_as_well_is_read_once(tmp_path):
    given = archive(tmp_path / 'g' / 'd' / 'x.zip', {'1.jpg': JPEG})
    make(tmp_path / 'h', '2.jpg')
    make(tmp_path / 'g', 'd/3.jpg')
    (tmp_path / 'h' / 'link').symlink_to('../g/d')
    found = find_images(tmp_path / 'h', given)
    assert found.names == ['g/d/x.zip/1.jpg', 'h/2.jpg', 'h/link/3.jpg'] and found.archives == {'g/d/x.zip': 1}
    assert found.passed_over == {'archive that is read already': 1}


def test_archives_below_a_folder_are_looked_into(tmp_path):
    make(tmp_path, '1.jpg')
    archive(tmp_path / 'sub' / 'A.ZIP', {'2.jpg': b'', '._2.jpg': b'', '__MACOSX/3.jpg': b'', 'd.part': JPEG})
    with tarfile.open(tmp_path / 'b.tar', 'w') as file:
        file.add(tmp_path / '1.jpg', './deep/4.jpg')
    archive(tmp_path / 'c.zip', {'labels.xml': b''})
    (tmp_path / 'link.tar').symlink_to('b.tar')
    found = find_images(tmp_path)
    assert found.names == ['1.jpg', 'b.tar/deep/4.jpg', 'sub/A.ZIP/2.jpg']
    assert found.archives == {'b.tar': 1, 'sub/A.ZIP': 1} and found.misnamed == {'.part': 1}
    assert found.passed_over == {
        'hidden file': 2,
        '.part': 1,
        '.xml': 1,
        'archive without images': 1,
        'link to a file that is read already': 1,
    }


def test_an_archive_that_lies_unpacked_beside_it_is_not_taken_twice(tmp_path):
    """As data sets are fetched and unpacked."""
    make(tmp_path, 'train/1.jpg', 'val/val/2.jpg', content=JPEG)
    archive(tmp_path / 'train.zip', {'train/1.jpg': JPEG, 'train/new.jpg': JPEG})
    archive(tmp_path / 'val.zip', {'val/2.jpg': JPEG + b'longer'})
    found = find_images(tmp_path)
    assert found.names == ['train.zip/train/new.jpg', 'train/1.jpg', 'val.zip/val/2.jpg', 'val/val/2.jpg']
    assert found.passed_over == {'image that is unpacked beside its archive': 1}


@pytest.mark.parametrize('content', [b'', b'<html>', b'PK\3\4' + bytes(100), b'\x1f\x8b' + bytes(100)])
def test_an_archive_that_cannot_be_read_is_an_error(tmp_path, content):
    make(tmp_path, '1.jpg')
    make(tmp_path, 'bad.tar', content=content)
    with pytest.raises(UserError, match=r'bad\.tar is .*; mend it, or give folders without it'):
        find_images(tmp_path)
    with pytest.raises(UserError, match=r'bad\.tar is not a folder; .*, or a zip or tar file: it is'):
        find_images(tmp_path / 'bad.tar')


def test_an_archive_that_is_cut_off_is_an_error(tmp_path):
    with tarfile.open(tmp_path / 'a.tar', 'w', format=tarfile.USTAR_FORMAT) as file:
        for i in range(3):
            file.add(make(tmp_path / 'x', 'a.jpg', content=bytes(2000)) / 'a.jpg', f'{i}.jpg')
    whole = (tmp_path / 'a.tar').read_bytes()
    for length in (512 + 2048 + 100, 2 * (512 + 2048) + 700):
        (tmp_path / 'a.tar').write_bytes(whole[:length])
        with pytest.raises(UserError, match=r'a\.tar is broken, or cut off, after [12] files \(.*\); get it again'):
            find_images(tmp_path)


def test_devices_are_no_images(tmp_path, monkeypatch):
    make(tmp_path, '1.jpg')
    try:
        os.mknod(tmp_path / 'x.jpg', stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip('devices are made by root alone')
    assert find_images(tmp_path).passed_over == {'device': 1}
