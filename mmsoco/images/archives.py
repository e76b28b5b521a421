"""Images inside zip and tar files, read where they are: ``photos.tar/a/1.jpg`` is a path like any other.

An archive is parsed once by the standard library into an :class:`Index` of flat memory; a member
is then opened by its place alone, by a file handle of its own, so that threads and forked workers
share nothing. What takes long to parse is kept in the user's cache, for the processes to come.
"""

import errno
import hashlib
import io
import json
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from mmsoco.errors import UserError
from mmsoco.files import atomic_path, open_regular

ARCHIVE_SUFFIXES = frozenset({'.tar', '.zip'})

#: First bytes of what has to be unpacked: its members have no place of their own.
_COMPRESSED = {b'\x1f\x8b': 'gzip', b'BZh': 'bzip2', b'\xfd7zXZ\0': 'xz', b'\x28\xb5\x2f\xfd': 'zstd'}
_COMPRESSED |= {b"7z\xbc\xaf'\x1c": '7z', b'Rar!': 'RAR'}
_ZIP = (b'PK\3\4', b'PK\5\6')
#: Kinds of members: plain bytes in a tar, and the methods of zip that are read.
_TAR, _STORED, _DEFLATED = -1, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
#: Of the parts of a tar's header that have any length, as long names; whoever made a longer one means harm.
_LONGEST_HEADER = 2**20
#: A data set in a tar of tars needs two.
_DEPTH = 3
#: Members at a time that become Python's objects, and from how many on an index is kept on the disk.
_BATCH, KEPT = 2**15, 20_000
#: Bytes of a compressed member that are unpacked at least.
_STEP = 2**16
#: Of the index's columns; another number is another meaning.
_VERSION = 1
_COLUMNS = pa.schema(
    {
        'hash': pa.uint64(),
        'name': pa.large_string(),
        'offset': pa.int64(),
        'stored': pa.int64(),
        'size': pa.int64(),
        'crc': pa.uint32(),
        'method': pa.int8(),
    }
)


class Entry(NamedTuple):
    """Where a member is.

    Attributes:
        name: Its path in the archive.
        offset: Of its bytes; in a zip, of the header before them.
        stored: How many bytes there are, compressed or not.
        size: How many they become.
        crc: Of these, in a zip.
        method: Of compression.
    """

    name: str
    offset: int
    stored: int
    size: int
    crc: int = 0
    method: int = _TAR


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), 'little')


class Index:
    """The members of an archive that are plain files, some 100 bytes each.

    Args:
        table: :class:`Entry` and the hash of its name a row, sorted by the hash.
        left_out: What else there is, by kind: links, encrypted members and the like.
        fault: Why the archive could not be read to its end, ``''`` where it could.
    """

    def __init__(self, table: pa.Table, left_out: Counter[str], fault: str = ''):
        self.table, self.left_out, self.fault = table, left_out, fault
        # Views, also of what is mapped from a file.
        self._hashes, self._names, *self._numbers = (_whole(table, name) for name in table.column_names)
        self._hashes = self._hashes.to_numpy()
        self._numbers = [column.to_numpy() for column in self._numbers]

    def __len__(self) -> int:
        return len(self._hashes)

    def names(self) -> Iterator[str]:
        """The names of all members, in no order."""
        for start in range(0, len(self), _BATCH):
            yield from self._names[start : start + _BATCH].to_pylist()

    def get(self, name: str) -> Entry | None:
        """A member, None where there is none of that name."""
        key = np.uint64(_hash(name))
        for row in range(int(self._hashes.searchsorted(key)), len(self)):
            if self._hashes[row] != key:
                break
            if self._names[row].as_py() == name:
                return Entry(name, *(column.item(row) for column in self._numbers))
        return None


def _whole(table: pa.Table, name: str) -> pa.Array:
    chunks = table.column(name).chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.array([], table.schema.field(name).type)])


class Member(io.RawIOBase):
    """The bytes of a member, as a file that can be read and sought.

    A compressed one is inflated as far as it is read, and kept. What is not as the archive says is an
    :class:`OSError`; of what is read in part, only that part can be.

    Args:
        archive: The archive, of which this becomes the owner.
        entry: Where the member is.
        path: Its path, for messages.

    Attributes:
        size: Bytes.
    """

    def __init__(self, archive: io.FileIO, entry: Entry, path: str):
        self._archive, self._entry, self._path = archive, entry, path
        self._position = 0
        self._start: int | None = entry.offset if entry.method == _TAR else None
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else None
        self._inflated, self._consumed, self._is_whole = b'', 0, False
        self.size = entry.size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if position < 0:
            raise OSError(errno.EINVAL, 'there is nothing before a file', self._path)
        self._position = position
        return position

    def tell(self) -> int:
        """As of any file."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """As of any file."""
        view = memoryview(buffer).cast('B')
        chunk = self._part(self._position, len(view))
        view[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def readall(self) -> bytes:
        """The rest; where that is all, the checksum is compared, too."""
        first = self._position == 0
        data = self._part(self._position, self.size)
        self._position += len(data)
        # That of what is compressed has been.
        if first and self._entry.method == _STORED:
            self._check(data)
        return data

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
        super().close()

    def _part(self, position: int, count: int) -> bytes:
        count = max(0, min(count, self.size - position))
        if self._entry.method != _DEFLATED:
            return self._bytes(position, count)
        end = min(position + count, self.size)
        if end > len(self._inflated) or (end == self.size and not self._is_whole):
            # Twice as far each time, or many short reads would copy what there is as often.
            self._inflate(min(self.size, max(end, 2 * len(self._inflated), _STEP)))
        return self._inflated[position : position + count]

    def _bytes(self, position: int, count: int) -> bytes:
        """What is stored there; less of it where the archive is cut."""
        if self._start is None:
            self._start = self._after_header()
        self._archive.seek(self._start + position)
        data = self._archive.read(count)
        # The system's call has a bound.
        while len(data) < count and (more := self._archive.read(count - len(data))):
            data += more
        return data

    def _after_header(self) -> int:
        """Where the bytes of a zip's member begin: its local header is as long as it says."""
        self._archive.seek(self._entry.offset)
        header = self._archive.read(30)
        if len(header) < 30 or not header.startswith(_ZIP[0]):
            raise OSError(errno.EIO, 'is not where its archive says', self._path)
        return self._entry.offset + 30 + sum(struct.unpack_from('<2H', header, 26))

    def _inflate(self, end: int) -> None:
        """Go on to a byte; the last one only where all is as the archive says."""
        # Deflate adds 5 bytes to blocks of up to 65,535; what claims more would only fill the memory.
        if self._entry.stored > self.size + self.size // 1000 + 1024:
            raise OSError(errno.EIO, 'is larger in its archive than unpacked', self._path)
        is_last = end == self.size
        # A byte beyond the last one tells that there are more of them than the archive says.
        room, parts = end + is_last - len(self._inflated), []
        try:
            while room and not self._inflater.eof:
                packed = self._inflater.unconsumed_tail or self._next_packed(self._entry.stored if is_last else _STEP)
                part = self._inflater.decompress(packed, room)
                if not packed and not part:
                    break
                parts.append(part)
                room -= len(part)
        except zlib.error as error:
            raise OSError(errno.EIO, f'cannot be unpacked ({error})', self._path) from None
        self._inflated += b''.join(parts)
        if len(self._inflated) != end:
            raise OSError(errno.EIO, f'is not of the {self.size} bytes that its archive says', self._path)
        self._check(self._inflated)
        self._is_whole = is_last

    def _next_packed(self, most: int) -> bytes:
        """What comes next of the compressed bytes."""
        packed = self._bytes(self._consumed, min(most, self._entry.stored - self._consumed))
        self._consumed += len(packed)
        return packed

    def _check(self, data: bytes) -> bytes:
        if len(data) == self.size and zlib.crc32(data) != self._entry.crc:
            raise OSError(errno.EIO, 'is damaged: its checksum in the archive is another', self._path)
        return data


def open_image(path: str | os.PathLike) -> BinaryIO:
    """Open a file, or a member of an archive, to read its bytes.

    Args:
        path: Of a regular file; where there is none, one above it may be an archive that has the rest.

    Raises:
        OSError: There is neither, or the archive cannot be read.
    """
    try:
        return open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        entry, archive = _find(path)
        if entry is None:
            raise
    return Member(open_regular(archive), entry, os.fspath(path))


def size_of(file: BinaryIO) -> int:
    """Bytes of what :func:`open_image` opened, before any is read."""
    return file.size if isinstance(file, Member) else os.fstat(file.fileno()).st_size


def exists(path: str | os.PathLike) -> bool:
    """Whether there is such a regular file, or member of an archive."""
    if os.path.isfile(path):  # noqa: PTH113, takes names of any length
        return True
    try:
        return _find(path)[0] is not None
    except OSError:
        return False


def is_archive(path: str | os.PathLike) -> bool:
    """Whether a path is that of a zip or tar file, whatever its ending."""
    try:
        return len(index_of(path)) > 0
    except OSError:
        return False


def _find(path: str | os.PathLike) -> tuple[Entry | None, str]:
    """The member that a path leads to, and its archive.

    Raises:
        OSError: The file on the way is no archive that can be read.
    """
    whole = os.fspath(path)
    archive = os.path.dirname(whole)  # noqa: PTH120, as often as there are images
    while archive and archive != os.path.dirname(archive):  # noqa: PTH120
        try:
            kind = os.stat(archive).st_mode  # noqa: PTH116
        except (OSError, ValueError):
            archive = os.path.dirname(archive)  # noqa: PTH120
            continue
        if not stat.S_ISREG(kind):
            break
        name = whole[len(archive) :].replace(os.sep, '/').lstrip('/')
        return index_of(archive).get(name), archive
    return None, archive


# Path -> what it was when it was parsed, and its index, or why it has none.
_known: dict[str, tuple[tuple, Index | OSError]] = {}


def index_of(path: str | os.PathLike) -> Index:
    """The index of an archive, parsed when it is first asked for, or has changed.

    Raises:
        OSError: It cannot be read, is no zip or tar file, or is compressed as a whole.
    """
    path = os.fspath(path)
    state = _state(path)
    known, index = _known.get(path, (None, None))
    if known != state:
        try:
            index = _load(path, state) or _keep(_parse(path), path, state)
        except OSError as error:
            index = error
        _known[path] = state, index
    if isinstance(index, OSError):
        raise OSError(index.errno, index.strerror, path)
    return index


def _state(path: str) -> tuple[int, int]:
    there = os.stat(path)  # noqa: PTH116
    return there.st_size, there.st_mtime_ns


def _parse(path: str) -> Index:
    left_out: Counter[str] = Counter()
    batches, fault = [], ''
    with open_regular(path) as file:
        entries = _entries(file, path, left_out)
        try:
            for batch in _batches(entries):
                batches.append(batch)
        except OSError:
            raise
        # Of what is broken, the parsers may say anything.
        except Exception as error:
            fault = ' '.join(str(error).split()) or type(error).__name__
    table = pa.Table.from_batches(batches, _COLUMNS)
    if fault and not len(table):
        raise OSError(errno.EINVAL, f'is broken, or cut off ({fault})', path)
    return Index(_last_of_each(table, left_out), left_out, fault)


def _entries(file: io.FileIO, path: str, left_out: Counter[str]) -> Iterator[Entry]:
    first = file.read(tarfile.BLOCKSIZE)
    for prefix, name in _COMPRESSED.items():
        if first.startswith(prefix):
            raise OSError(errno.EINVAL, f'is compressed as a whole ({name}); unpack it', path)
    if first.startswith(_ZIP):
        return _zip_entries(io.BufferedReader(file), left_out)
    # Before what follows: a tar that holds a zip ends almost as a zip does.
    if any(first) and _is_tar(first):
        return _tar_entries(_Headers(file), 0, os.fstat(file.fileno()).st_size, left_out)
    # A program that unpacks itself begins otherwise.
    if zipfile.is_zipfile(file):
        return _zip_entries(io.BufferedReader(file), left_out)
    if first and not any(first):
        return _tar_entries(_Headers(file), 0, os.fstat(file.fileno()).st_size, left_out)
    raise OSError(errno.EINVAL, 'is neither a zip nor a tar file', path)


def _is_tar(block: bytes) -> bool:
    with suppress(tarfile.TarError):
        tarfile.TarInfo.frombuf(block, 'utf-8', 'surrogateescape')
        return True
    return not any(block)


def _batches(entries: Iterator[Entry]) -> Iterator[pa.RecordBatch]:
    """The entries so far, also where they end with an error."""
    rows: list[tuple] = []

    def batch() -> pa.RecordBatch:
        columns = zip(*rows, strict=True)
        return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, _COLUMNS, strict=True)], _COLUMNS)

    try:
        for entry in entries:
            rows.append((_hash(entry.name), *entry))
            if len(rows) == _BATCH:
                yield batch()
                rows.clear()
    except GeneratorExit:
        raise
    except Exception:
        if rows:
            yield batch()
        raise
    if rows:
        yield batch()


def _last_of_each(table: pa.Table, left_out: Counter[str]) -> pa.Table:
    """Sorted by hash; of members with the same name the last, as unpacking leaves it."""
    hashes = _whole(table, 'hash').to_numpy()
    order = hashes.argsort(kind='stable')
    same = np.flatnonzero(np.diff(hashes[order]) == 0)
    last: dict[str, int] = {}
    keep = np.ones(len(order), bool)
    for place in sorted({*same.tolist(), *(same + 1).tolist()}):
        name = table['name'][int(order[place])].as_py()
        if name in last:
            keep[last[name]] = False
        last[name] = place
    if not keep.all():
        left_out['member that a later one of its name replaces'] += int((~keep).sum())
    return table.take(order[keep]).combine_chunks()


def _clean(name: str, left_out: Counter[str]) -> str | None:
    """A member's name as a path below the archive; None where it leads elsewhere."""
    parts = name.split('/')
    if '..' in parts or name.startswith('/') or re.match(r'[A-Za-z]:[/\\]', name) or '\0' in name:
        left_out['member whose name leads out of its archive'] += 1
        return None
    # As `tar cf x.tar .` has them.
    return '/'.join(part for part in parts if part not in ('', '.')) or None


def _zip_entries(file: BinaryIO, left_out: Counter[str]) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            name = _clean(_zip_name(info), left_out)
            if name is None:
                continue
            if info.flag_bits & 1:
                left_out['encrypted member of a zip file'] += 1
            elif stat.S_ISLNK(info.external_attr >> 16):
                left_out['link in an archive'] += 1
            elif info.compress_type not in (_STORED, _DEFLATED):
                method = zipfile.compressor_names.get(info.compress_type, f'method {info.compress_type}')
                left_out[f'member compressed by {method} of a zip file'] += 1
            else:
                yield Entry(name, info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name; those that are UTF-8 without saying so are taken as that, and not as of DOS."""
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            return info.filename.encode('cp437').decode()
    return info.filename


class _Headers(io.BufferedReader):
    """A tar of which only headers are read: one that claims to be long is an error, not memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f'a header of {size} bytes')
        return super().read(size)


def _tar_entries(file: _Headers, start: int, end: int, left_out: Counter[str], depth: int = 1) -> Iterator[Entry]:
    """The plain files of a tar that is from ``start`` to ``end`` in a file, and of tars that it has, with their places.

    Tars that are written one after the other are read on, as by ``tar --ignore-zeros``.
    """
    position = _skip_zeros(file, start, end)
    while position < end:
        after = yield from _one_tar(file, position, end, left_out, depth)
        next_one = _skip_zeros(file, after, end)
        if next_one == after and after < end:
            # Behind the mark of the end, anything may stand; elsewhere it is what cannot be read.
            if after == position and position > start:
                return
            raise tarfile.ReadError(f'no header at byte {after}')
        position = next_one


def _one_tar(file: _Headers, start: int, end: int, left_out: Counter[str], depth: int) -> Generator[Entry, None, int]:
    """The files up to a mark of the end; returns where that is."""
    file.seek(start)
    with tarfile.TarFile(fileobj=file, encoding='utf-8', errors='surrogateescape') as archive:
        while (info := archive.next()) is not None:
            # Else a list of all of them.
            archive.members.clear()
            if info.isreg() and info.offset_data + info.size > end:
                raise tarfile.ReadError(f'{info.name[-200:]} is cut off')
            if archive.offset <= start or info.size < 0:
                raise tarfile.ReadError(f'no end of the member at byte {info.offset}')
            start = archive.offset
            yield from _tar_entry(file, info, left_out, depth)
            if start >= end:
                break
        return archive.offset


def _tar_entry(file: _Headers, info: tarfile.TarInfo, left_out: Counter[str], depth: int) -> Iterator[Entry]:
    if info.isdir():
        return
    name = _clean(_utf8(info.name), left_out)
    if name is None:
        return
    if info.issym() or info.islnk():
        left_out['link in an archive'] += 1
    elif not info.isreg() or info.issparse():
        left_out['special file in an archive'] += 1
    elif name.lower().endswith('.tar') and depth < _DEPTH:
        for entry in _tar_entries(file, info.offset_data, info.offset_data + info.size, left_out, depth + 1):
            yield entry._replace(name=f'{name}/{entry.name}')
    else:
        yield Entry(name, info.offset_data, info.size, info.size)


def _utf8(name: str) -> str:
    """A name of whatever bytes; those that are not UTF-8 are taken as Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode('utf-8', 'surrogateescape').decode('latin-1')
    return name


def _skip_zeros(file: BinaryIO, start: int, end: int) -> int:
    """The first block from ``start`` on that is not all zeros."""
    for position in range(start, end, 2**16):
        file.seek(position)
        chunk = np.frombuffer(file.read(min(2**16, end - position)), np.uint8) != 0
        if chunk.any():
            return position + int(chunk.argmax()) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
    return end


def _cache(path: str) -> Path:
    """Where the index of an archive is kept."""
    folder = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return Path(folder, 'mmsoco', 'archives', f'{name}.arrow')


def _keep(index: Index, path: str, state: tuple[int, int]) -> Index:
    """Write the index of a large archive for other processes; where that cannot be, they parse it again."""
    if len(index) < KEPT or index.fault:
        return index
    about = {'state': json.dumps([_VERSION, *state]), 'left_out': json.dumps(index.left_out)}
    table = index.table.replace_schema_metadata(about)
    with (
        suppress(UserError, OSError, RuntimeError),
        atomic_path(_cache(path)) as temporary,
        pa.OSFile(str(temporary), 'wb') as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
    # From the disk, it takes no memory of this process.
    return _load(path, state) or index


def _load(path: str, state: tuple[int, int]) -> Index | None:
    """What :func:`_keep` wrote of this archive, mapped into memory; None where there is nothing of it."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(_cache(path)))).read_all()
        about = table.schema.metadata or {}
        if json.loads(about[b'state']) == [_VERSION, *state] and table.schema.equals(_COLUMNS):
            return Index(table, Counter(json.loads(about[b'left_out'])))
    except (OSError, RuntimeError, KeyError, ValueError, pa.ArrowInvalid):
        pass
    return None
