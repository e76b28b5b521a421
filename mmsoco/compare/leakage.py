"""Evaluation images that a pretraining has seen: by their bytes, and by how they look."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from mmengine.config import Config

from mmsoco.checkpoints.files import read_meta
from mmsoco.checkpoints.pretraining import INIT
from mmsoco.checkpoints.written_config import literals
from mmsoco.compare.checking import build_dataset
from mmsoco.compare.plan import Comparison
from mmsoco.datasets.proposal_dataset import select_rows
from mmsoco.errors import UserError
from mmsoco.files import atomic_path
from mmsoco.images.archives import open_image
from mmsoco.images.finding import find_images
from mmsoco.images.near_duplicates import DISTANCE, Hashes, hash_images, nearest
from mmsoco.images.reading import Reading
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.store import ProposalStore

_SHOWN = 5


class Images(NamedTuple):
    """Some images: a folder, and their names in it."""

    root: Path
    names: list[str]
    reading: Reading = Reading()


def evaluation_images(cfg: Config) -> Images:
    """The images that a detector's config evaluates on."""
    dataset = build_dataset(cfg, 'val_dataloader')
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    paths = list(dict.fromkeys(Path(info['img_path']).absolute() for info in infos if 'img_path' in info))
    root = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    return Images(root, [path.relative_to(root).as_posix() for path in paths])


def pretraining_images(file: str, folder: str | None = None) -> Images | None:
    """The images that a file of weights was pretrained on.

    Args:
        file: A pretraining's checkpoint, or what was extracted from one.
        folder: Where they are; by default what the checkpoint says: the images of its proposals but for those
            that it held out, where these can be read, or those of its folder.

    Returns:
        None where the checkpoint does not say it, or they are not there.
    """
    if folder is not None:
        found = find_images(folder)
        return Images(found.root, found.names)
    try:
        meta = read_meta(file)
    except UserError:  # others' weights
        return None
    dataset = (literals(meta.get('cfg') or '').get('train_dataloader') or {}).get('dataset') or {}
    described = meta.get('dataset_meta') or meta.get('proposals') or {}
    # The config may name the folder relative to another one; the proposal file names it as a whole.
    roots = [root for root in (dataset.get('data_root'), described.get('root')) if root and Path(root).is_dir()]
    proposals = dataset.get('proposal_file')
    # A detector's or a classifier's folder holds the images that it is measured on, too.
    if not roots or not (proposals or 'checksum' in described):
        return None
    try:
        store = ProposalStore.open(proposals) if proposals and Path(proposals).is_file() else None
        if store is not None and store.header.get('checksum') == described.get('checksum', store.header['checksum']):
            images = ImageRoot.of(store.header, roots[0])
            held_out, names = dataset.get('held_out'), list(store.names())
            if isinstance(held_out, str) and not Path(held_out).is_file():  # better too many than too few
                held_out = None
            trained = (names[row] for row in select_rows(store, held_out, wanted=False))
            return Images(images.folder, list(dict.fromkeys(map(images.image_of, trained))), images.reading)
        found = find_images(roots[0])
        return Images(found.root, found.names)
    except (UserError, KeyError):
        pass
    return None


class Overlap(NamedTuple):
    """Evaluation images that are among others.

    Attributes:
        same: Evaluation image -> the one of the same bytes.
        near: Evaluation image -> the one that looks almost alike, of the others.
        unread: How many of the others could not be read.
        looks: Whether looks were compared.
        read: How many evaluation images, and others, were compared by their bytes.
        hashed: And by looks: those that can be decoded and are not flat.
    """

    same: dict[str, str]
    near: dict[str, str]
    unread: int
    looks: bool = True
    read: tuple[int, int] = (0, 0)
    hashed: tuple[int, int] = (0, 0)


def find_overlap(evaluation: Images, others: Images, jobs: int = 1) -> Overlap:
    """The evaluation images that are among others, by the bytes of their files or by a perceptual hash.

    See :mod:`mmsoco.images.near_duplicates` for what the latter finds.
    """
    theirs, own = _digests(others, jobs), _digests(evaluation, jobs)
    by_digest = {digest: name for name, digest in theirs.items()}
    same = {name: by_digest[digest] for name, digest in own.items() if digest in by_digest}
    unread, read = len(others.names) - len(theirs), (len(own), len(theirs))
    try:
        seen, shown = (_hashes(images, jobs) for images in (others, evaluation))
    except UserError:  # imagehash is not installed
        return Overlap(same, {}, unread, looks=False, read=read)
    who, apart = nearest(shown.bits, seen.bits)
    near = {shown.names[i]: seen.names[who[i]] for i in np.flatnonzero(apart <= DISTANCE) if shown.names[i] not in same}
    return Overlap(same, near, unread, read=read, hashed=(len(shown.names), len(seen.names)))


def _hashes(images: Images, jobs: int) -> Hashes:
    return hash_images(images.root, images.names, jobs, reading=images.reading)


def _digests(images: Images, jobs: int) -> dict[str, str]:
    """Name -> digest of its file, of those that can be read."""
    digests = joblib.Parallel(jobs)(joblib.delayed(_digest)(f'{images.root}/{name}') for name in images.names)
    return {name: digest for name, digest in zip(images.names, digests, strict=True) if digest is not None}


def _digest(path: str) -> str | None:
    try:
        with open_image(path) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


def check_leakage(
    comparison: Comparison,
    cfg: Config,
    say: Callable[[str], None],
    pretrained_on: Mapping[str, str] = {},
    allow: bool = False,
    jobs: int = 1,
    keep: bool = True,
) -> dict[str, dict]:
    """Look for the evaluation images in the images of each arm's pretraining.

    Args:
        comparison: The settings.
        cfg: Of an arm.
        say: Prints a line.
        pretrained_on: Arm -> folder of its pretraining's images, where its file does not say.
        allow: Go on though some are found.
        jobs: Processes.
        keep: Whether what was found is kept in the folder of the comparison, for the next time.

    Returns:
        Arm -> ``words`` and figures for the report.

    Raises:
        UserError: Some are found; or an arm or a folder is not there.
    """
    named = {init.name for init in comparison.inits}
    for name in pretrained_on:
        if name not in named:
            raise UserError(f'--pretrained-on {name}=...: there is no --init {name}')
    evaluation = evaluation_images(cfg)
    found: dict[str, dict] = {}
    for init in comparison.inits:
        if init.file is None:
            continue
        others = pretraining_images(init.file, pretrained_on.get(init.name))
        if others is None:
            words = 'not checked: the file does not say on which images, or they are not there'
            found[init.name] = {'checked': False, 'words': f'{words} (--pretrained-on {init.name}=FOLDER)'}
        else:
            found[init.name] = _look(comparison, evaluation, others, jobs, keep)
            if former := _former(init.file):
                found[init.name]['words'] += f'; {former}, from which it began, was pretrained on images not looked at'
        say(f'{init.name}: evaluation images in its pretraining: {found[init.name]["words"]}')
    leaked = {name: one for name, one in found.items() if one.get('same') or one.get('near')}
    if leaked and not allow:
        name, one = next(iter(leaked.items()))
        first = next(iter({**one['same_images'], **one['near_images']}.items()))
        raise UserError(
            f'{one["same"] + one["near"]} of {one["evaluation"]} evaluation images are in the pretraining of {name}, '
            f'first {first[0]} as {first[1]} ({one["same"]} by content, {one["near"]} by looks); evaluate on others, '
            'or add --allow-leakage, which the result will say'
        )
    return found


def _former(file: str) -> str | None:
    """The weights that a pretraining began from; None where it began from random ones, or does not say."""
    try:
        return (read_meta(file).get(INIT) or {}).get('file')
    except UserError:  # others' weights
        return None


def _look(comparison: Comparison, evaluation: Images, others: Images, jobs: int, keep: bool) -> dict[str, Any]:
    """:func:`find_overlap` in words and figures; once for the same images."""
    key = hashlib.sha256(repr([_states(evaluation), _states(others)]).encode()).hexdigest()
    path = comparison.out / 'leakage' / f'{key[:16]}.json'
    if path.is_file():
        return json.loads(path.read_text())
    same, near, unread, looks, read, hashed = find_overlap(evaluation, others, jobs)
    checked = all(read)
    words = '' if checked else 'not checked: '
    words += f'{len(same)} by content, of {read[0]} of {len(evaluation.names)} compared with {read[1]} of '
    words += f'{len(others.names)}; '
    words += (
        f'{len(near)} by looks, of {hashed[0]} compared with {hashed[1]} that are not flat'
        if looks
        else "looks not compared (pip install 'mmsoco[duplicates]')"
    )
    found = {
        'checked': checked,
        'words': words,
        'evaluation': len(evaluation.names),
        'pretraining': len(others.names),
        'unread': unread,
        'same': len(same),
        'near': len(near),
        'same_images': _first(same),
        'near_images': _first(near),
    }
    if keep and looks:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(found))
    return found


def _first(pairs: dict[str, str]) -> dict[str, str]:
    return dict(list(pairs.items())[:_SHOWN])


def _states(images: Images) -> Iterable:
    """What tells whether images are the same as before, without reading them."""
    states = []
    for name in images.names:
        try:
            status = os.stat(f'{images.root}/{name}')  # noqa: PTH116, a million times
            states.append((name, status.st_size, status.st_mtime_ns))
        except OSError:  # in an archive
            states.append((name, *_archive_state(f'{images.root}/{name}')))
    return [str(images.root), images.reading, states]


def _archive_state(path: str) -> tuple[int, ...]:
    """Size and time of the archive that a path leads into."""
    archive = next((place for place in Path(path).parents if place.is_file()), None)
    if archive is None:
        return ()
    status = archive.stat()
    return status.st_size, status.st_mtime_ns
