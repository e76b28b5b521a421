"""Which proposals are kept for training (paper, section 3.2; official code)."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

import mmsoco
from mmsoco.errors import UserError
from mmsoco.files import check_out
from mmsoco.images.lists import ImageList, locate
from mmsoco.images.names import Names
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.source import files_of, names_of, read_raw
from mmsoco.proposals.store import ProposalRow, write_proposals
from mmsoco.renamed import renamed_arguments

#: In the order in which they are tried; see :func:`filter_boxes`.
STAGES = ('all rules', 'aspect and side', 'side', 'whole image')


@dataclass(frozen=True)
class ProposalFilter:
    """The rules; the defaults are the paper's, ``min_side`` the official code's.

    Args:
        max_aspect: A box is kept when 1/max_aspect <= w/h <= max_aspect.
        size: A box is kept when sqrt(wh) / sqrt(WH) lies in this range, both
            ends included; W, H are the image's sides.
        min_side: Smallest width and height, in pixels.
    """

    max_aspect: float = 3.0
    size: tuple[float, float] = (0.3, 0.8)
    min_side: float = 32.0

    def __post_init__(self):
        low, high = self.size
        if not (self.max_aspect >= 1 and 0 <= low <= high <= 1 and self.min_side >= 0):
            raise UserError(
                f'{self} cannot hold any box; give aspect >= 1, a size range from low to high within 0 to 1, '
                'and a side from 0 on'
            )


def filter_boxes(boxes: np.ndarray, width: int, height: int, rules: ProposalFilter) -> tuple[np.ndarray, str]:
    """Keep the boxes that training should see.

    Where no box is left the rules are loosened as in the official code: first
    aspect and side alone, then side alone, then the whole image is the box.

    Args:
        boxes: (N, 4) xyxy in pixels.
        width, height: The image's sides, in pixels.

    Returns:
        (M, 4) boxes, M >= 1, of the dtype given, and which of :data:`STAGES` served.
    """
    # int64: areas of int16 sides overflow.
    sides = (boxes[:, 2:] - boxes[:, :2].astype(np.int64)).astype(np.float64)
    w, h = sides[:, 0], sides[:, 1]
    aspect = (w <= rules.max_aspect * h) & (h <= rules.max_aspect * w)
    relative = np.sqrt(w * h / (width * height))
    size = (rules.size[0] <= relative) & (relative <= rules.size[1])
    side = (w >= rules.min_side) & (h >= rules.min_side)
    for stage, keep in zip(STAGES, (aspect & size & side, aspect & side, side), strict=False):
        if keep.any():
            return boxes[keep], stage
    return np.array([[0, 0, width, height]], boxes.dtype), STAGES[-1]


@renamed_arguments(picture_list='image_list')
def filter_folder(
    raw: str | os.PathLike,
    out: str | os.PathLike,
    rules: ProposalFilter,
    image_list: ImageList | None = None,
) -> dict[str, int]:
    """Make the file that training reads from a folder of raw proposals.

    Args:
        raw: The folder that :func:`~mmsoco.proposals.search.folder.search_folder` wrote,
            or a proposal file, such as one of boxes from elsewhere.
        out: The proposal file.
        rules: Which boxes to keep.
        image_list: The images to take; all by default. So a part of a data
            set that was searched whole needs no search of its own.

    Returns:
        How many images each of :data:`STAGES` served.

    Raises:
        UserError: The raw proposals are missing or incomplete, or lack an
            image of the list though the search could read them all; or
            ``out`` is one of the files that are read.
    """
    check_out(out, *files_of(raw), what='the raw proposals')
    header, failures, raw_rows = read_raw(raw)
    header = {**header, 'kind': 'filtered', 'filter': asdict(rules), 'mmsoco': mmsoco.__version__}
    wanted, images = None, ImageRoot.of(header, '')
    if image_list is not None:
        image_list = locate(image_list, Names(images.images_of([*names_of(raw), *failures]), header.get('root')))
        header['list'] = image_list.describe()
        wanted = set(image_list.names)
    served, found = Counter(dict.fromkeys(STAGES, 0)), set()

    def rows() -> Iterator[ProposalRow]:
        for row in raw_rows:
            if wanted is not None:
                image = images.image_of(row.file_name)
                if image not in wanted:
                    continue
                found.add(image)
            boxes, stage = filter_boxes(row.boxes, row.width, row.height, rules)
            served[stage] += 1
            yield row._replace(boxes=boxes)
        # What could not be read has no row, and is no surprise; of tiles, it may be all of an image.
        missing = sorted((wanted or set()) - found - set(map(images.image_of, failures)))
        if missing:
            raise UserError(
                f'{raw} lacks {len(missing)} of the {len(image_list.names)} images of the list, '
                f'first {missing[0]}; was it searched for them?'
            )

        if not sum(served.values()):
            raise UserError(f'{raw} has proposals of no image; see its failures.csv')

    write_proposals(out, rows(), header)
    return dict(served)
