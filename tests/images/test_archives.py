import io
import os
import tarfile
import threading
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from mmsoco.images import archives
from mmsoco.images.archives import exists, index_of, is_archive, open_image, size_of


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, 'w', method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def tarred(target, members, **options):
    options.setdefault('format', tarfile.GNU_FORMAT)
    with tarfile.open(**{'fileobj' if hasattr(target, 'write') else 'name': target}, mode='w', **options) as file:
        for name, content in members.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return target


def content(path):
    with open_image(path) as file:
        return file.read()


CONTENT = bytes(range(256)) * 40


@pytest.fixture(params=['tar', 'stored', 'deflated'])
def packed(request, tmp_path):
    members = {'a/1.jpg': CONTENT, '2.jpg': b'two', 'empty.jpg': b''}
    path = tmp_path / f'x.{request.param}'
    if request.param == 'tar':
        return tarred(path, members)
    return zipped(path, members, zipfile.ZIP_STORED if request.param == 'stored' else zipfile.ZIP_DEFLATED)


def test_members_are_read_like_files(packed):
    assert content(packed / 'a/1.jpg') == CONTENT and content(f'{packed}/2.jpg') == b'two'
    assert content(packed / 'empty.jpg') == b''
    assert sorted(index_of(packed).names()) == ['2.jpg', 'a/1.jpg', 'empty.jpg'] and is_archive(packed)
    with open_image(packed / 'a' / '1.jpg') as file:
        assert size_of(file) == len(CONTENT)
        assert file.seek(250) == 250 and file.read(10) == CONTENT[250:260] and file.tell() == 260
        assert file.seek(-6, os.SEEK_END) == len(CONTENT) - 6 and file.read() == CONTENT[-6:] and file.read(5) == b''
        assert file.seek(5) and file.seek(3, os.SEEK_CUR) == 8 and file.read() == CONTENT[8:]
        with pytest.raises(OSError, match='nothing before'):
            file.seek(-1)


def test_pillow_reads_a_member(tmp_path):
    data = io.BytesIO()
    Image.new('RGB', (3, 2), (10, 20, 30)).save(data, 'TIFF')
    for path in (
        zipped(tmp_path / 'x.zip', {'a.tif': data.getvalue()}),
        tarred(tmp_path / 'x.tar', {'a.tif': data.getvalue()}),
    ):
        with open_image(path / 'a.tif') as file, Image.open(file) as image:
            assert image.size == (3, 2) and image.getpixel((2, 1)) == (10, 20, 30)


def test_files_are_opened_as_ever(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'abc')
    with open_image(tmp_path / 'a.jpg') as file:
        assert size_of(file) == 3 and file.read() == b'abc'
    for name in ('b.jpg', 'no/b.jpg', 'a.jpg/b.jpg'):
        assert not exists(tmp_path / name) and not is_archive(tmp_path / name)
        with pytest.raises(OSError):
            open_image(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_image('b.jpg')
    assert exists(tmp_path / 'a.jpg') and not is_archive(tmp_path / 'a.jpg')


def test_what_an_archive_has_not(packed):
    assert exists(packed / 'a/1.jpg') and not exists(packed / '1.jpg') and not exists(packed / 'a')
    with pytest.raises(NotADirectoryError):
        open_image(packed / '1.jpg')


def test_an_archive_that_changes_is_parsed_again(tmp_path):
    assert content(tarred(tmp_path / 'x.tar', {'a': b'1'}) / 'a') == b'1'
    assert content(tarred(tmp_path / 'x.tar', {'b': b'1', 'a': b'12'}) / 'a') == b'12'


@pytest.mark.parametrize('format', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_in_tars(tmp_path, format):
    long = '/'.join(['folder' * 10] * 8) + '/ü.jpg'
    path = tarred(tmp_path / 'x.tar', {long: b'1', './b/./c.jpg': b'2'}, format=format)
    assert content(path / long) == b'1' and content(path / 'b/c.jpg') == b'2'


def test_names_that_are_not_utf8(tmp_path):
    path = tarred(tmp_path / 'x.tar', {'ü.jpg': b'1'}, encoding='latin-1')
    assert list(index_of(path).names()) == ['ü.jpg'] and content(path / 'ü.jpg') == b'1'
    # Of a zip without the flag: UTF-8 all the same, or that of DOS.
    for raw, name in (('ü'.encode(), 'ü'), (b'\x81', 'ü')):
        path = zipped(tmp_path / 'x.zip', {'??'[: len(raw)]: b'1'})
        path.write_bytes(path.read_bytes().replace(b'??'[: len(raw)], raw))
        assert list(index_of(path).names()) == [name] and content(path / name) == b'1'


def test_names_that_lead_out_are_left_out(tmp_path):
    members = {'../a.jpg': b'1', '/etc/b.jpg': b'2', 'x/../../c.jpg': b'3', 'C:/d.jpg': b'4', 'ok.jpg': b'5'}
    for path in (zipped(tmp_path / 'x.zip', members), tarred(tmp_path / 'x.tar', members)):
        index = index_of(path)
        assert list(index.names()) == ['ok.jpg']
        assert index.left_out == {'member whose name leads out of its archive': 4}


def test_of_a_name_that_is_there_twice_the_last_is_read(tmp_path):
    """As unpacking leaves it."""
    with tarfile.open(tmp_path / 'x.tar', 'w') as file:
        for text in (b'1', b'22', b'333'):
            info = tarfile.TarInfo('a.jpg')
            info.size = len(text)
            file.addfile(info, io.BytesIO(text))
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as file, pytest.warns(UserWarning, match='Duplicate'):
        for text in (b'1', b'22', b'333'):
            file.writestr('a.jpg', text)
    for name in ('x.tar', 'x.zip'):
        index = index_of(tmp_path / name)
        assert content(tmp_path / name / 'a.jpg') == b'333' and len(index) == 1
        assert index.left_out == {'member that a later one of its name replaces': 2}


def test_two_names_with_the_same_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, '_hash', lambda name: len(name))
    path = tarred(tmp_path / 'x.tar', {'a': b'1', 'b': b'2', 'cc': b'3', 'd': b'4'})
    assert [content(path / name) for name in ('a', 'b', 'cc', 'd')] == [b'1', b'2', b'3', b'4']
    assert not exists(path / 'e')


def test_links_and_devices_in_tars_are_left_out(tmp_path):
    members = {'a.jpg': b'1'}
    for kind, name in ((tarfile.SYMTYPE, 'b.jpg'), (tarfile.LNKTYPE, 'c.jpg'), (tarfile.FIFOTYPE, 'd.jpg')):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, '/etc/passwd'
        members[info] = b''
    index = index_of(tarred(tmp_path / 'x.tar', members))
    assert list(index.names()) == ['a.jpg']
    assert index.left_out == {'link in an archive': 2, 'special file in an archive': 1}


def test_tars_in_a_tar(tmp_path):
    """As ImageNet's training images are shipped."""
    inner = {
        f'n{i}.tar': tarred(io.BytesIO(), {f'n{i}_{j}.JPEG': bytes([i, j]) for j in range(3)}).getvalue()
        for i in range(2)
    }
    path = tarred(tmp_path / 'train.tar', {**inner, 'x.jpg': b'x'})
    assert sorted(index_of(path).names()) == [*(f'n{i}.tar/n{i}_{j}.JPEG' for i in range(2) for j in range(3)), 'x.jpg']
    assert content(path / 'n1.tar' / 'n1_2.JPEG') == b'\1\2' and content(path / 'x.jpg') == b'x'
    deep = b''
    for _ in range(50):
        deep = tarred(io.BytesIO(), {'y.tar': deep, 'y.jpg': b''}).getvalue()
    assert len(index_of(tarred(tmp_path / 'deep.tar', {'y.tar': deep}))) < 10


def test_tars_one_after_the_other(tmp_path):
    one, two = (tarred(io.BytesIO(), {name: name.encode()}).getvalue() for name in ('a.jpg', 'b.jpg'))
    (tmp_path / 'x.tar').write_bytes(one + two)
    assert content(tmp_path / 'x.tar/a.jpg') == b'a.jpg' and content(tmp_path / 'x.tar/b.jpg') == b'b.jpg'
    (tmp_path / 'y.tar').write_bytes(one + b'what some tape drive left')
    assert list(index_of(tmp_path / 'y.tar').names()) == ['a.jpg'] and not index_of(tmp_path / 'y.tar').fault


def test_a_header_that_is_broken_in_the_middle_is_a_fault(tmp_path):
    """Python's reader would end there without a word."""
    path = tarred(tmp_path / 'x.tar', {f'{i}.jpg': bytes(600) for i in range(4)})
    data = bytearray(path.read_bytes())
    data[1536 * 2 : 1536 * 2 + 100] = b'\1' * 100
    path.write_bytes(data)
    index = index_of(path)
    assert sorted(index.names()) == ['0.jpg', '1.jpg'] and 'no header at byte 3072' in index.fault
    assert exists(path / '1.jpg')


@pytest.mark.parametrize('size', [-512, 2**62])
def test_sizes_that_would_never_end(tmp_path, size):
    info = tarfile.TarInfo('a.jpg')
    info.size = size
    (tmp_path / 'x.tar').write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    info.type = tarfile.GNUTYPE_LONGNAME
    (tmp_path / 'y.tar').write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    for name in ('x.tar', 'y.tar'):
        with pytest.raises(OSError, match='is broken, or cut off'):
            index_of(tmp_path / name)


@pytest.mark.parametrize(
    ('first', 'words'),
    [
        (b'\x1f\x8b\x08', r'compressed as a whole \(gzip\); unpack it'),
        (b'BZh9', 'bzip2'),
        (b'\xfd7zXZ\0', 'xz'),
        (b"7z\xbc\xaf'\x1c", '7z'),
        (b'<html>', 'neither a zip nor a tar'),
        (b'', 'neither a zip nor a tar'),
        (b'PK\3\4', 'is broken, or cut off'),
    ],
)
def test_what_is_no_archive_to_read_from(tmp_path, first, words):
    (tmp_path / 'x').write_bytes(first + bytes(700) * bool(first))
    for _ in range(2):  # also where it is known
        with pytest.raises(OSError, match=words):
            open_image(tmp_path / 'x' / 'a.jpg')
    assert not exists(tmp_path / 'x' / 'a.jpg') and not is_archive(tmp_path / 'x')


def test_members_of_a_zip_that_cannot_be_read_are_counted(tmp_path):
    path = zipped(tmp_path / 'x.zip', {'a.jpg': b'1', 'b.jpg': b'2'})
    with zipfile.ZipFile(path, 'a', zipfile.ZIP_LZMA) as file:
        file.writestr('c.jpg', b'3')
        link = zipfile.ZipInfo('d.jpg')
        link.external_attr = 0o120777 << 16
        file.writestr(link, '/etc/passwd')
    data = bytearray(path.read_bytes())
    data[data.index(b'PK\1\2') + 8] |= 1  # encrypted, says the directory
    path.write_bytes(data)
    index = index_of(path)
    assert list(index.names()) == ['b.jpg']
    assert index.left_out == {
        'encrypted member of a zip file': 1,
        'member compressed by lzma of a zip file': 1,
        'link in an archive': 1,
    }


def test_a_member_is_bound_to_the_size_that_is_declared(tmp_path):
    """A bomb takes no more than the size by which a reader judges it."""
    path = zipped(tmp_path / 'x.zip', {'a.jpg': bytes(10_000_000)})
    data = bytearray(path.read_bytes())
    at = data.index(b'PK\1\2') + 24
    data[at : at + 4] = (100_000).to_bytes(4, 'little')
    path.write_bytes(data)
    with open_image(path / 'a.jpg') as file, at_most(400_000):
        assert size_of(file) == 100_000 and file.read(64) == bytes(64)
        # However often one asks.
        for _ in range(2):
            file.seek(0)
            with pytest.raises(OSError, match='not of the 100000 bytes'):
                file.read()


@contextmanager
def at_most(nbytes):
    """Memory that Python takes meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < nbytes
    finally:
        tracemalloc.stop()


@pytest.fixture(scope='module')
def noise():
    return np.random.default_rng(0).integers(0, 16, 3_000_000, np.uint8).tobytes()


def test_a_look_at_a_member_unpacks_no_more_than_that(tmp_path, noise):
    path = zipped(tmp_path / 'x.zip', {'a.csv': noise})
    index_of(path)
    with open_image(path / 'a.csv') as file, at_most(400_000):
        assert file.read(64) == noise[:64] and file.seek(50_000) and file.read(64) == noise[50_000:50_064]


def test_parts_of_a_compressed_member_make_the_whole(tmp_path, noise):
    path = zipped(tmp_path / 'x.zip', {'a.jpg': noise})
    with open_image(path / 'a.jpg') as file:
        parts = list(iter(lambda: file.read(70_001), b''))
        assert b''.join(parts) == noise
        assert file.seek(0) == 0 and file.read() == noise
    with open_image(path / 'a.jpg') as file:
        assert file.seek(1_000_000) and file.read(10) == noise[1_000_000:1_000_010]
        assert file.seek(999_000) and file.read() == noise[999_000:]


def test_the_checksum_counts_however_a_member_is_read(tmp_path, noise):
    path = zipped(tmp_path / 'x.zip', {'a.jpg': noise})
    data = bytearray(path.read_bytes())
    data[data.index(b'PK\1\2') + 16] ^= 1
    path.write_bytes(data)
    with open_image(path / 'a.jpg') as file:
        assert file.read(100_000) == noise[:100_000]
        for _ in range(2):
            with pytest.raises(OSError, match='its checksum in the archive is another'):
                file.read()


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_an_error(tmp_path, method):
    path = zipped(tmp_path / 'x.zip', {'a.jpg': CONTENT, 'b.jpg': CONTENT}, method)
    data = bytearray(path.read_bytes())
    data[60] ^= 16
    path.write_bytes(data)
    with open_image(path / 'a.jpg') as file, pytest.raises(OSError, match=r'checksum|cannot be unpacked|not of the'):
        file.read()
    assert content(path / 'b.jpg') == CONTENT


def test_a_member_whose_archive_was_cut_meanwhile_is_short(tmp_path):
    path = tarred(tmp_path / 'x.tar', {'a.jpg': CONTENT})
    with open_image(path / 'a.jpg') as file:
        os.truncate(path, 1000)
        assert size_of(file) == len(CONTENT) and len(file.read()) == 1000 - 512


def test_threads_and_children_share_nothing(packed):
    wrong = []

    def read():
        for _ in range(50):
            if (content(packed / 'a/1.jpg'), content(packed / '2.jpg')) != (CONTENT, b'two'):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    child = os.fork()
    if not child:
        read()
        os._exit(bool(wrong))
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0 and not wrong


def test_the_index_of_a_large_archive_is_kept(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(archives, 'KEPT', 2)
    path = tarred(tmp_path / 'x.tar', {'a.jpg': b'1', 'b.jpg': b'2', '../c.jpg': b'3'})
    assert content(path / 'a.jpg') == b'1'
    (kept,) = cache.rglob('*.arrow')
    archives._known.clear()
    monkeypatch.setattr(archives, '_parse', None)
    assert content(path / 'b.jpg') == b'2' and index_of(path).left_out.total() == 1
    # What is not of this archive, or nothing at all, is parsed again.
    monkeypatch.undo()
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    for damage in (lambda: kept.write_bytes(b'junk'), lambda: tarred(path, {'b.jpg': b'22', 'x': b''})):
        archives._known.clear()
        damage()
        assert content(path / 'b.jpg') in (b'2', b'22')
    assert content(path / 'b.jpg') == b'22'


def test_without_a_place_for_the_cache_all_goes_on(tmp_path, monkeypatch):
    (tmp_path / 'file').write_bytes(b'')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    monkeypatch.setattr(archives, 'KEPT', 1)
    assert content(tarred(tmp_path / 'x.tar', {'a.jpg': b'1'}) / 'a.jpg') == b'1'


def test_a_tar_that_holds_a_zip_is_a_tar(tmp_path):
    """Whose end record is near the end of the tar, too."""
    inner = zipped(tmp_path / 'inner.zip', {'in.jpg': b'in'}).read_bytes()
    path = tarred(tmp_path / 'x.tar', {'cover.jpg': b'cover', 'inner.zip': inner})
    assert sorted(index_of(path).names()) == ['cover.jpg', 'inner.zip']
    assert content(path / 'cover.jpg') == b'cover'
