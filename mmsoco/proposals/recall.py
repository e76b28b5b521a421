"""How well proposals cover labelled objects."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmsoco.boxes import iou
from mmsoco.errors import UserError
from mmsoco.images.names import Names, tidy
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.filters import ProposalFilter, filter_boxes
from mmsoco.proposals.formats.base import Boxes
from mmsoco.proposals.formats.coco import read_labelled
from mmsoco.proposals.source import names_of, read_raw
from mmsoco.proposals.untiled import untiled

#: COCO's.
THRESHOLDS = np.arange(50, 100, 5) / 100
#: COCO's sizes: areas of a bounding box, in pixels, from 0 up to these.
SIZES = {'small': 32**2, 'medium': 96**2, 'large': np.inf}


def best_overlaps(objects: np.ndarray, proposals: np.ndarray) -> np.ndarray:
    """(N,): each object's largest IoU with any proposal, 0 where there are none."""
    return iou(objects, proposals).max(axis=1, initial=0)


@dataclass
class Recall:
    """Overlaps of all objects.

    Attributes:
        overlaps: (N,) an object's best IoU; one proposal may serve several objects.
        areas: (N,) areas of the objects' boxes, in pixels.
        images: Images that have objects, proposals or none, and were compared.
        missing: Images of the labels that have no row in the proposal file.
        proposals: Proposals of the compared images.
        left_out: Why labelled boxes were left out, and how many.
        hits: (images,) share of an image's proposals that have an IoU of 0.5 or more with an object.
    """

    overlaps: np.ndarray
    areas: np.ndarray
    images: int
    missing: int
    proposals: int
    left_out: dict[str, int] = field(default_factory=dict)
    hits: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def recall(self) -> float:
        """Share of the objects that a proposal covers at an IoU of 0.5; 0 where there are none."""
        return float((self.overlaps >= 0.5).mean()) if len(self.overlaps) else 0.0

    @property
    def hit_rate(self) -> float:
        """How often a box that is drawn at random lies on an object, as training draws: images alike, then a box."""
        return float(self.hits.mean()) if len(self.hits) else 0.0

    @property
    def score(self) -> float:
        """Harmonic mean of :attr:`recall` and :attr:`hit_rate`, 0 where both are.

        Either alone misleads: all boxes that there are cover most objects, but hardly one that is drawn
        lies on any; a few sure boxes are all on objects, but training sees the same few.
        """
        both = self.recall + self.hit_rate
        return 2 * self.recall * self.hit_rate / both if both else 0.0

    def table(self) -> list[dict]:
        """A row for all objects and for each size: how many, recall at some IoU, average recall, average overlap.

        ``AR`` averages recall over :data:`THRESHOLDS`; ``ABO`` is the average
        best overlap (Uijlings et al. 2013).
        """
        groups = {'all': np.ones(len(self.areas), bool)}
        low = 0
        for name, high in SIZES.items():
            groups[name] = (low <= self.areas) & (self.areas < high)
            low = high
        return [{'objects': name, 'count': int(chosen.sum()), **self._row(chosen)} for name, chosen in groups.items()]

    def _row(self, chosen: np.ndarray) -> dict[str, float | None]:
        names = [f'{threshold:.2f}' for threshold in THRESHOLDS]
        if not chosen.any():
            return dict.fromkeys([*names, 'AR', 'ABO'])
        overlaps = self.overlaps[chosen]
        recall = (overlaps[:, None] >= THRESHOLDS).mean(axis=0)
        means = {'AR': float(recall.mean()), 'ABO': float(overlaps.mean())}
        return {**dict(zip(names, recall.tolist(), strict=True)), **means}

    def __str__(self) -> str:
        lines = [
            f'{self.proposals / max(self.images, 1):.1f} proposals an image, {self.images} images; '
            f'{self.hit_rate:.1%} of those drawn at random lie on an object (IoU 0.5)'
        ]
        if self.missing:
            lines.append(f'{self.missing} labelled images have no proposals in the file and are left out')
        lines += [f'{number} labelled boxes left out: {reason}' for reason, number in self.left_out.items()]
        table = self.table()
        names = list(table[0])
        lines.append(''.join(name.rjust(8) for name in names))
        for row in table:
            cells = ['-' if v is None else f'{100 * v:.1f}' if isinstance(v, float) else str(v) for v in row.values()]
            lines.append(''.join(cell.rjust(8) for cell in cells))
        return '\n'.join(lines)


@dataclass(frozen=True)
class Labels:
    """Objects of a COCO annotation file, crowds left out.

    Attributes:
        path: The file.
        entries: Of the images that have objects.
        left_out: Why boxes were left out, and how many.
    """

    path: str | os.PathLike
    entries: list[Boxes]
    left_out: dict[str, int]

    @classmethod
    def read(cls, path: str | os.PathLike) -> 'Labels':
        """Of a file.

        Raises:
            UserError: It is missing or broken, or holds no box.
        """
        left_out: Counter[str] = Counter()
        entries = [entry for entry in read_labelled(Path(path), left_out)[1] if len(entry.boxes)]
        if not entries:
            raise UserError(f'{path} has no boxes of objects; give annotations with a bbox each')
        return cls(path, entries, dict(+left_out))

    def by_image(self, names: Iterable[str]) -> dict[str, Boxes]:
        """Entries by the names of their images.

        Where none of the labels' names is among these, they are taken as relative to the folder or the archive
        below that has most of them.

        Args:
            names: Of images.

        Raises:
            UserError: A name may be that of two images, or in two folders, or two names are of one image.
        """
        names = list(names)
        found = self._found(Names(names))
        folder = '' if found else self._folder(names)
        if folder:
            found = self._found(Names((name.removeprefix(folder), name) for name in names if name.startswith(folder)))
        return found

    def _found(self, names: Names) -> dict[str, Boxes]:
        found: dict[str, Boxes] = {}
        for entry in self.entries:
            name = names.find(entry.name, *entry.also)
            if name is not None and found.setdefault(name, entry) is not entry:
                raise UserError(
                    f'{found[name].name!r} and {entry.name!r} of the labels are one image; give it one name'
                )
        return found

    def _folder(self, names: Sequence[str]) -> str:
        """What the names of the most labelled images have before those of the labels; '' where there is nothing."""
        wanted = {tidy(name) for entry in self.entries for name in (entry.name, *entry.also)}
        folders = Counter(
            name[: slash.end()] for name in names for slash in re.finditer('/', name) if name[slash.end() :] in wanted
        )
        first, *others = folders.most_common(2) or [('', 0)]
        if others and others[0][1] == first[1]:
            raise UserError(
                f'{self.path} may label the images of {first[0]} or of {others[0][0]}; give one of these, or name '
                'images from their common folder on'
            )
        return first[0]


def measure_recall(
    proposals: str | os.PathLike, labels: str | os.PathLike | Labels, rules: ProposalFilter | None = None
) -> Recall:
    """Compare proposals, filtered or raw, with the boxes of a COCO annotation file, crowds left out.

    Those of tiles are compared all together, where they lie in their image.

    Args:
        proposals: Folder of raw proposals, or a proposal file.
        labels: COCO annotations, or what was read of them.
        rules: Compare what this filter would keep.

    Raises:
        UserError: A file is missing or broken, none of the labelled images is
            in the proposal file, or one has another size there.
    """
    header, _, rows = read_raw(proposals)
    tiled = ImageRoot.of(header, '')
    labels = labels if isinstance(labels, Labels) else Labels.read(labels)
    of_image = labels.by_image(tiled.images_of(names_of(proposals)))
    overlaps, areas, hits = [np.empty(0)], [np.empty(0)], []
    images = count = 0
    if rules is not None:
        rows = (row._replace(boxes=filter_boxes(row.boxes, row.width, row.height, rules)[0]) for row in rows)
    for image in untiled(rows, tiled):
        name, width, height, boxes = image.row
        entry = of_image.get(name)
        if entry is None:
            continue
        if entry.size is not None and not image.fits(entry.size, tiled.tiling):
            tiles = 'tiles up to ' if image.windows else ''
            raise UserError(
                f'{name} has {tiles}{width}x{height} pixels in {proposals}, but {entry.size[0]}x'
                f'{entry.size[1]} in {labels.path}; compare proposals and labels of the same images'
            )
        both = iou(entry.boxes, boxes)
        overlaps.append(both.max(axis=1, initial=0))
        hits.append((both.max(axis=0, initial=0) >= 0.5).mean() if len(boxes) else 0.0)
        areas.append((entry.boxes[:, 2:] - entry.boxes[:, :2]).prod(axis=1))
        images += 1
        count += len(boxes)
    if not images:
        raise UserError(f'{proposals} has none of the labelled images of {labels.path}; file names are compared')
    missing = len(labels.entries) - images
    return Recall(
        np.concatenate(overlaps), np.concatenate(areas), images, missing, count, labels.left_out, np.array(hits)
    )
