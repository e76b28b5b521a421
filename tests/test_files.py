import errno
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest

from mmsoco.errors import UserError
from mmsoco.files import atomic_path, check_folder, check_out, read_regular


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


def refusing(number, *names):
    """Functions of the system that a disk does not have, or not for us."""

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return [(name, refuse) for name in names]


@pytest.mark.parametrize('number', [errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_a_disk_without_modes_and_without_a_way_to_sync(tmp_path, monkeypatch, number):
    """As of FUSE, CIFS and other systems' shares: the bytes are there, and count."""
    for name, refuse in refusing(number, 'os.chmod', 'os.fchmod', 'os.fsync', 'os.utime', 'os.link', 'os.chown'):
        monkeypatch.setattr(name, refuse)
    path = tmp_path / 'epoch_1.pth'
    for content in (b'first', b'second'):
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_bytes_that_are_not_on_the_disk_are_an_error(tmp_path, monkeypatch, number):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    for name, refuse in refusing(number, 'os.fsync'):
        monkeypatch.setattr(name, refuse)
    with pytest.raises(OSError, match=os.strerror(number)), atomic_path(path) as temporary:
        temporary.write_text('new')
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / 'nowhere').symlink_to(tmp_path / 'gone/away')
    with pytest.raises(UserError, match='nowhere is a link that leads nowhere'):
        check_folder(tmp_path / 'nowhere/a')
    long = tmp_path / ('x' * 300)
    with pytest.raises(UserError, match=r'cannot be written \(File name too long\); name another folder'):
        check_folder(long)
    with pytest.raises(UserError, match=r'cannot be written \(File name too long\)'), atomic_path(long / 'x.txt'):
        pass


def in_namespace(script, tmp_path):
    """What a shell prints that may mount file systems of its own."""
    done = subprocess.run(['unshare', '-rm', 'sh', '-c', script], capture_output=True, text=True, cwd=tmp_path)
    if 'unshare' in done.stderr or 'mount' in done.stderr:
        pytest.skip(done.stderr.strip())
    return done.stdout


WRITE = f"""{sys.executable} -c "
from mmsoco.errors import command
from mmsoco.files import atomic_path, check_folder
@command
def main():
    check_folder('disk/new')
    with atomic_path('disk/new/a.bin') as temporary:
        temporary.write_bytes(bytes(2**21))
main()
" 2>&1; echo $? $(ls -A disk)"""


@pytest.mark.skipif(shutil.which('unshare') is None, reason='needs user namespaces')
@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ('size=1m', r'error: the disk.* is full .*\n2 new\n'),
        ('size=1m,ro', r'error: .*disk may not be written, so disk/new cannot be; name another folder\n2\n'),
        ('size=8m', r'0 new\n'),
    ],
)
def test_a_real_disk_that_is_full_or_read_only(tmp_path, options, words):
    (tmp_path / 'disk').mkdir()
    said = in_namespace(f'mount -t tmpfs -o {options} none disk && {WRITE}', tmp_path)
    assert re.fullmatch(words, said), said


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: path.symlink_to('gone')])
def test_only_files_are_read(tmp_path, make):
    make(tmp_path / 'x')
    with pytest.raises(OSError, match=r'no regular file|No such file'):
        read_regular(tmp_path / 'x')
    (tmp_path / 'y').write_bytes(bytes(3 * 2**20))
    assert len(read_regular(tmp_path / 'y')) == 3 * 2**20
