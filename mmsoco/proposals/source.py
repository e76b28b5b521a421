"""Reading proposals, whether in a folder of shards or in one file."""

import os
from collections.abc import Iterator
from pathlib import Path

from mmsoco.errors import UserError
from mmsoco.images.values import join
from mmsoco.proposals.store import ProposalRow, ProposalStore


def files_of(source: str | os.PathLike) -> list[Path]:
    """The files that :func:`read_raw` reads; none where there is nothing to read."""
    source = Path(source)
    return sorted(source.glob('shard-*.arrow')) if source.is_dir() else [source]


def names_of(source: str | os.PathLike) -> Iterator[str]:
    """The images of all rows that :func:`read_raw` reads."""
    return (name for path in files_of(source) for name in ProposalStore(path).names())


def read_raw(source: str | os.PathLike) -> tuple[dict, dict[str, str], Iterator[ProposalRow]]:
    """Header, failures (file name -> reason) and rows of raw proposals.

    Args:
        source: The folder that :func:`~mmsoco.proposals.search.folder.search_folder` wrote, or a proposal file.

    Raises:
        UserError: The folder holds no shards, some are missing or are of different searches.
    """
    source = Path(source)
    if source.is_file():
        store = ProposalStore.open(source).verify()
        header = {key: value for key, value in store.header.items() if key not in ('format', 'count', 'checksum')}
        # A filtered file keeps their number alone.
        failures = header.get('failures', 0)
        if isinstance(failures, int):
            return header, {}, iter(store)
        return {**header, 'failures': len(failures)}, dict(failures), iter(store)
    paths = files_of(source)
    if not source.is_dir() or not paths:
        raise UserError(f'{source} holds no raw proposals; make them with mmsoco search or random-proposals')
    total = int(paths[0].stem.rsplit('-', 1)[1])
    if len(paths) != total:
        raise UserError(f'{source} holds {len(paths)} of {total} shards; run the search to its end')
    # One open file at a time: a large search has thousands.
    headers = [ProposalStore.open(path).header for path in paths]
    common = ('root', 'generator', 'list', 'reading', 'tiles')
    for path, header in zip(paths, headers, strict=True):
        if any(header.get(key) != headers[0].get(key) for key in common):
            raise UserError(f'{path} is of another search than {paths[0].name}; name a folder that holds one search')
    links = next((header['links'] for header in headers if 'links' in header), None)
    failures = {name: reason for header in headers for name, reason in header['failures']}
    header = {key: headers[0].get(key) for key in ('root', 'generator', 'list')}
    header |= {key: headers[0][key] for key in ('reading', 'tiles') if key in headers[0]}
    header['failures'] = len(failures)
    # Only what there was, so that files of plain images stay as they were.
    if met := join(*(header.get('met', {}) for header in headers)):
        header['met'] = met
    if frames := sum(header.get('several_frames', 0) for header in headers):
        header['several_frames'] = frames
    if links is not None:
        header['links'] = links
    return header, failures, (row for path in paths for row in ProposalStore.open(path).verify())
