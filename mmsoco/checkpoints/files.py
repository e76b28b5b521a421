"""Files of weights: whole or refused, and read without running code that they may hold."""

import functools
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from mmsoco.checkpoints.outline import HISTORY, STATISTICS, Foreign, Implausible, Outline
from mmsoco.checkpoints.seal import Damaged, check_safetensors_seal, has_seal, seal
from mmsoco.errors import UserError, reason

#: Set, it makes every torch.load of this process and its children one of ``weights_only``.
FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
NO_CHECKPOINT = 'it is something else'
#: The numbers that torch's format before 1.6 begins with.
_LEGACY = (0x1950A86A20F9469CFC6C, 1001)
#: A checkpoint's tensors may share memory, as tied weights do; more than so many times is an attack.
_SHARING, _SLACK = 8, 2**24

# Where torch.load has been replaced by guard_loading, the one beneath.
_torch_load = getattr(torch.load, '__wrapped__', torch.load)


def check_whole(path: str | os.PathLike, allow: Sequence[type] = (), trust: bool = False) -> None:
    """Refuse a file of weights that is not whole, could run code, or takes more memory than it holds.

    Nothing is unpickled. Files that :func:`~mmsoco.checkpoints.seal.seal` or
    :func:`~mmsoco.checkpoints.seal.seal_safetensors` has gone through are compared with
    their digest, other zip archives with their CRCs;
    torch's format before 1.6 has neither.

    Args:
        path: A checkpoint of torch, or with this ending ``.safetensors``.
        allow: Types that it may hold besides tensors and plain values.
        trust: Allow any code.

    Raises:
        UserError: With what to do.
    """
    with _open(path) as file:
        if Path(path).suffix == '.safetensors':
            _check_safetensors(file, path)
        else:
            _check(file, str(path), allow, trust)


def read_checkpoint(
    path: str | os.PathLike, allow: Sequence[type] = (), trust: bool = False, map_location: Any = 'cpu'
) -> dict:
    """Load a checkpoint, after :func:`check_whole`.

    Args:
        allow, trust: As there.
        map_location: As that of :func:`torch.load`.

    Raises:
        UserError: There is no such file, it is not a checkpoint, or it holds
            more than tensors and plain values.
    """
    checkpoint = load(path, map_location, allow=allow, trust=trust)
    if not isinstance(checkpoint, dict):
        raise UserError(f'{path} holds a {type(checkpoint).__name__} instead of a checkpoint')
    return checkpoint


def read_meta(path: str | os.PathLike, trust: bool = False) -> dict:
    """The ``meta`` of a run's checkpoint, after :func:`check_whole`; its tensors stay on the disk.

    Args:
        trust: As there.

    Raises:
        UserError: The checkpoint is refused, or is not of a run.
    """
    try:
        status = Path(path).stat()
    except OSError:
        status = None
    return _read_meta(path, trust, status and (status.st_mtime_ns, status.st_size))


@functools.lru_cache(maxsize=64)
def _read_meta(path: str | os.PathLike, trust: bool, version: tuple[int, int] | None) -> dict:
    # A version that was found whole need not be read again.
    with _open(path) as file:
        by_map = zipfile.is_zipfile(file)
    checkpoint = load(path, 'cpu', trust=trust, mmap=by_map)
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict):
        raise UserError(f'{path} is not of a run: it has no meta')
    return meta


def read_safetensors(path: str | os.PathLike) -> dict[str, Tensor]:
    """Name -> tensor of a ``.safetensors`` file, after :func:`check_whole`."""
    check_whole(path)
    try:
        return load_file(path)
    except Exception as error:  # numbers of a type that this torch does not have
        raise UserError(f'{path} cannot be loaded ({reason(error, bare=True)}); give another checkpoint') from None


def read_described_safetensors(path: str | os.PathLike) -> dict:
    """A ``.safetensors`` file as a checkpoint: ``state_dict``, and its metadata as ``meta``.

    What is JSON in the metadata, which are text, is read as such.

    Raises:
        UserError: As :func:`read_safetensors`.
    """
    tensors = read_safetensors(path)
    with safe_open(path, 'pt') as file:
        words = file.metadata() or {}
    return {'state_dict': tensors, 'meta': {key: _json_or_text(text) for key, text in words.items()}}


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def load(
    source: str | os.PathLike | IO[bytes],
    map_location: Any = None,
    allow: Sequence[type] = (),
    trust: bool = False,
    **options,
) -> Any:
    """:func:`torch.load` after :func:`check_whole`; also of an open file.

    Raises:
        UserError: As there.
    """
    is_path = isinstance(source, (str, os.PathLike))
    name = str(source) if is_path else getattr(source, 'name', 'the checkpoint')
    with _open(source) if is_path else _rest(source) as file:
        outline = _check(file, name, allow, trust)
        file.seek(0)
        try:
            with _allowed(outline, allow), _code_allowed(trust):
                return _torch_load(
                    source if is_path else file, map_location=map_location, weights_only=not trust, **options
                )
        except Exception as error:  # bytes that are no pickle can make its reader raise anything
            raise UserError(
                f'{name} cannot be loaded ({reason(error, bare=True)}); copy it again, or ask who made it'
            ) from None


def save(content: Any, path: str | os.PathLike) -> None:
    """:func:`torch.save`, sealed; equal contents give equal bytes."""
    # In memory: by a path the file's name would be in the archive.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    Path(path).write_bytes(seal(buffer.getvalue()))


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A regular file; opening a pipe would wait for who writes."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            what = 'a folder' if stat.S_ISDIR(mode) else 'no regular file'
            raise UserError(f'{path} is {what}; give a checkpoint, for instance work_dirs/NAME/epoch_100.pth')
        file = Path(path).open('rb')  # noqa: SIM115, closed below
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f'{path} does not exist; give a checkpoint, for instance work_dirs/NAME/epoch_100.pth'
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f'{path} cannot be opened ({reason(error, bare=True)}); give a checkpoint') from None
    with file:
        yield file


@contextmanager
def _rest(file: IO[bytes]) -> Iterator[IO[bytes]]:
    yield io.BytesIO(file.read())


def _check(file: IO[bytes], name: str, allow: Sequence[type], trust: bool) -> Outline:
    """Refuse a file; returns what is in it, of a trusted one nothing."""
    outline = Outline(allow)
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        beginning = file.read(2)
        file.seek(0)
        if not size:
            raise Damaged('empty')
        if beginning == b'PK':
            _check_archive(file, size, None if trust else outline)
        elif beginning[:1] != b'\x80':
            raise Implausible(NO_CHECKPOINT)
        elif not trust:
            _check_legacy(file, size, outline)
        if outline.tensor_bytes > _SHARING * size + _SLACK:
            raise Implausible(f'it makes tensors of {outline.tensor_bytes:,} bytes out of {size:,}')
    except Foreign as error:
        raise UserError(
            f'{name} is no checkpoint of tensors and plain values: it holds {reason(error, bare=True)}, which could '
            'run code; if you trust who wrote it: --trust-checkpoint'
        ) from None
    except Implausible as error:
        raise UserError(
            f'{name} is no checkpoint of tensors and plain values ({reason(error, bare=True)}); give a file that '
            'PyTorch saved'
        ) from None
    except Damaged as error:
        raise UserError(f'{name} is {reason(error, bare=True)}; copy it again') from None
    except OSError as error:
        raise UserError(f'{name} cannot be read ({reason(error, bare=True)}); copy it again') from None
    return outline


def _check_archive(file: IO[bytes], size: int, outline: Outline | None) -> None:
    """The zip archive that torch writes, entries one after the other and not compressed."""
    sealed = has_seal(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = _check_entries(archive, size)
            folder = next(iter(sizes)).partition('/')[0]
            pickled = f'{folder}/data.pkl'
            if pickled not in sizes or f'{folder}/constants.pkl' in sizes:
                # A program of TorchScript has constants.
                raise Implausible(NO_CHECKPOINT)
            if not sealed:
                for entry in archive.infolist():
                    with archive.open(entry) as stored:
                        while stored.read(2**20):
                            pass
            if outline is None:
                return
            outline.read(io.BytesIO(archive.read(pickled)))
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise Damaged(f'damaged ({reason(error, bare=True)})') from None
    for key, storage in outline.storages.items():
        stored = sizes.get(f'{folder}/data/{key}', -1)
        if stored != storage.size:
            raise Implausible(f'storage {key} should have {storage.size:,} bytes and has {max(stored, 0):,}')


def _check_entries(archive: zipfile.ZipFile, size: int) -> dict[str, int]:
    """Name -> bytes of each."""
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    if not entries or entries[0].header_offset:
        raise Damaged('damaged at its beginning')
    if any(entry.compress_type or entry.compress_size != entry.file_size or entry.flag_bits & 1 for entry in entries):
        raise Implausible('compressed entries, which torch does not write')
    ends = [*(entry.header_offset for entry in entries[1:]), size]
    if any(e.header_offset + e.file_size + len(e.filename) + 30 > end for e, end in zip(entries, ends, strict=True)):
        raise Implausible('entries that are larger than their place')
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    # torch's own reader of archives does not tell upper case from lower.
    if len({name.lower() for name in sizes}) < len(entries) or len({name.partition('/')[0] for name in sizes}) > 1:
        raise Implausible('entries of the same name, or in several folders')
    return sizes


def _check_legacy(file: IO[bytes], size: int, outline: Outline) -> None:
    """Torch's format before 1.6: three pickles, the checkpoint's, the keys of its storages, and these."""
    if tuple(outline.read(file) for _ in _LEGACY) != _LEGACY:
        raise Implausible(NO_CHECKPOINT)
    outline.read(file)  # the machine that it was saved on
    outline.read(file)
    keys = outline.read(file)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(outline.storages):
        raise Implausible('not the storages that its tensors are in')
    for key in keys:
        storage = outline.storages[key]
        if int.from_bytes(file.read(8), 'little') != storage.numel:
            raise Implausible(f'storage {key} is not as large as it should be')
        if file.seek(storage.size, os.SEEK_CUR) > size:
            raise Damaged('cut short')
    if file.tell() != size:
        raise Damaged('damaged at its end')


def _check_safetensors(file: IO[bytes], path: str | os.PathLike) -> None:
    size = os.fstat(file.fileno()).st_size
    header = file.read(8)
    header += file.read(min(int.from_bytes(header, 'little'), size))
    try:
        check_safetensors_seal(file, header, size)
        with safe_open(path, 'pt'):  # compares every tensor's place with the file's size
            pass
    except Damaged as error:
        raise UserError(f'{path} is {reason(error, bare=True)}; copy it again') from None
    except Exception as error:  # its reader's own kind, or the system's
        raise UserError(f'{path} cannot be read ({reason(error, bare=True)}); copy it again') from None


@contextmanager
def _code_allowed(trust: bool) -> Iterator[None]:
    forced = os.environ.pop(FORCE, None) if trust else None
    try:
        yield
    finally:
        if forced is not None:
            os.environ[FORCE] = forced


@contextmanager
def _allowed(outline: Outline, allow: Sequence[type]) -> Iterator[None]:
    """Let torch make what the outline has seen, besides what it makes by itself."""
    ours, before = [*allow, *_beyond_torch(outline.names)], list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(ours)
    try:
        yield
    finally:
        # What libraries have allowed meanwhile stays.
        kept = [one for one in torch.serialization.get_safe_globals() if one in before or one not in ours]
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(kept)


def _beyond_torch(names: set[str]) -> list[Callable]:
    found: dict[str, Callable] = {'builtins.slice': slice}
    classes: list[Callable] = []
    if any(name.startswith('numpy.') for name in names):
        import numpy as np

        core = getattr(np, '_core', None) or np.core
        for module in ('numpy.core', 'numpy._core'):
            for function in (core.multiarray._reconstruct, core.multiarray.scalar):
                found[f'{module}.multiarray.{function.__name__}'] = function
        classes += [np.ndarray, np.dtype, *{type(np.dtype(code)) for code in np.typecodes['AllInteger'] + '?efdgFDG'}]
    if HISTORY in names:
        from mmengine.logging import HistoryBuffer

        classes.append(HistoryBuffer)
        found['builtins.getattr'] = _statistic(HistoryBuffer)
    return classes + [_named(function, name) for name, function in found.items() if name in names]


def _named(function: Callable, name: str) -> Callable:
    """A function that torch finds under another name: numpy 1 and 2 call a module differently."""

    def call(*args):
        return function(*args)

    call.__module__, call.__name__ = name.rsplit('.', 1)
    call.__qualname__ = call.__name__
    return call


def _statistic(history: type) -> Callable:
    """In the place of ``getattr``, which would open a way to everything."""

    def method(owner, name):
        if owner is not history or name not in STATISTICS:
            raise ValueError(f'no statistic: {name}')
        return getattr(history, name)

    return method
