import os
import stat

import pytest

from mmsoco.errors import UserError
from mmsoco.files import atomic_path, check_folder, check_out


def test_success_replaces_the_file(tmp_path):
    path = tmp_path / 'data.txt'
    path.write_text('old')
    with atomic_path(path) as temporary:
        temporary.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_failure_leaves_the_old_content_and_no_temporary_file(tmp_path):
    path = tmp_path / 'data.txt'
    path.write_text('old')
    with pytest.raises(RuntimeError, match='midway'), atomic_path(path) as temporary:
        temporary.write_text('half of the n')
        raise RuntimeError('midway')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_failure_without_an_old_file_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / 'data.txt') as temporary:
        temporary.write_text('half')
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('umask', 'mode'), [(0o027, 0o640), (0o022, 0o644), (0o077, 0o600)])
def test_the_mode_honours_the_umask(tmp_path, umask, mode):
    path = tmp_path / 'data.txt'
    before = os.umask(umask)
    try:
        with atomic_path(path) as temporary:
            temporary.write_text('new')
        assert os.umask(umask) == umask  # the process' own umask was put back
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_temporary_file_has_the_suffix_and_the_folder_of_the_target(tmp_path):
    path = tmp_path / 'new' / 'folder' / 'image.png'
    with atomic_path(str(path)) as temporary:
        assert temporary.suffix == '.png'
        assert temporary.parent == path.parent
        assert temporary != path
        temporary.write_bytes(b'content')
    assert path.read_bytes() == b'content'


def test_a_folder_and_what_is_read_are_not_written_over(tmp_path):
    data, link, new = tmp_path / 'data.txt', tmp_path / 'link.txt', tmp_path / 'new.txt'
    data.write_text('precious')
    link.symlink_to(data)
    for out in (data, link):
        with pytest.raises(UserError, match=f'{out.name} is the file to convert; name another one to write'):
            check_out(out, tmp_path / 'gone.txt', str(data), what='the file to convert')
    with pytest.raises(UserError, match='is a folder; name a file in it'):
        check_out(tmp_path)
    check_out(new, data)
    check_out(new, new)
    check_out(data)


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    check_folder(tmp_path)
    check_folder(tmp_path / 'a/b')
    (tmp_path / 'file').touch()
    for below in ('file', 'file/a/b'):
        with pytest.raises(UserError, match=r'file is no folder, so .* cannot be written'):
            check_folder(tmp_path / below)
    monkeypatch.setattr('mmsoco.files.os.access', lambda path, mode: False)
    with pytest.raises(UserError, match='may not be written'):
        check_folder(tmp_path / 'a')
    assert not (tmp_path / 'a').exists()
