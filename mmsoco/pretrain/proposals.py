"""Choosing a search and a filter by the size of the objects, each with its reason."""

import math
from dataclasses import asdict, dataclass

from mmsoco.images.decoding import max_pixels
from mmsoco.images.tiles import Tiling
from mmsoco.pretrain.asked import Row
from mmsoco.pretrain.inspection import Facts
from mmsoco.proposals.filters import ProposalFilter
from mmsoco.proposals.generators.selective_search import SearchParameters

#: Sizes of objects, as sqrt(box area / image area): large is the paper's, the others are ours.
SIZES = {'small': (0.05, 0.3), 'medium': (0.15, 0.6), 'large': (0.3, 0.8)}
#: Segmentation scale k and smallest segment in pixels. Large has the paper's, small those of the quickstart's
#: digits (30 px); medium lies between.
SEGMENTS = {'small': (100, 20), 'medium': (200, 50), 'large': (300, 100)}
#: Longer side in pixels of the copy that is searched, where images are larger: small objects need their pixels.
MAX_SIDE = {'small': None, 'medium': 640, 'large': 320}
#: From this longer side on, pictures with small objects are searched in tiles of so many pixels.
TILE_FROM, TILE, OVERLAP = 2000, 512, 0.1


@dataclass(frozen=True)
class Search:
    """How boxes are searched: OpenCV's segmentation, the copy that is searched, or tiles; pixels."""

    k: int
    min_size: int
    max_side: int | None = None
    tile: int | None = None

    @property
    def parameters(self) -> SearchParameters:
        """For :func:`~mmsoco.proposals.search.folder.search_folder`."""
        return SearchParameters(k=self.k, min_size=self.min_size, max_side=self.max_side)

    @property
    def tiling(self) -> Tiling | None:
        """For the same."""
        return None if self.tile is None else Tiling(self.tile, OVERLAP)

    def count_tiles(self, size: tuple[int, int]) -> int:
        """Windows of an image of a (width, height); 1 where whole images are searched."""
        return 1 if self.tiling is None else len(self.tiling.windows(*size))

    def __str__(self) -> str:
        words = [f'--{key.replace("_", "-")} {value}' for key, value in asdict(self).items() if value is not None]
        return ' '.join(words)


def why_tiles(size: str, facts: Facts) -> str:
    """Why images are searched, and seen, in tiles; '' where they are not."""
    longer = facts.sides[1]
    if math.prod(facts.sides) > max_pixels():
        return f'images of {longer} px are too large to be read as a whole'
    if size == 'small' and longer >= TILE_FROM:
        return f'on whole images of {longer} px they would vanish'
    return ''


def search_for(size: str, facts: Facts) -> tuple[Search, Row]:
    """The search by the size of the objects, and of the images."""
    longer = facts.sides[1]
    k, min_size = SEGMENTS[size]
    most = MAX_SIDE[size]
    why = f'segments for {size} objects'
    if reason := why_tiles(size, facts):
        return Search(k, min_size, tile=TILE), Row('search', f'in tiles of {TILE} px', f'{why}; {reason}')
    if most is not None and longer > most:
        search = Search(k, min_size, max_side=most)
        return search, Row('search', str(search), f'{why}; copies of {most} px are several times as fast')
    search = Search(k, min_size)
    return search, Row('search', str(search), why)


def filter_for(size: str, shorter: int) -> ProposalFilter:
    """The filter by the size of the objects.

    Args:
        size: One of :data:`SIZES`.
        shorter: The images' (or tiles') shorter side in pixels.
    """
    low, high = SIZES[size]
    return ProposalFilter(size=(low, high), min_side=least_side(low, shorter))


def least_side(low: float, shorter: int) -> float:
    """Smallest side of a box: 0.6 of the smallest size's own, as boxes may be long; from 8 px to the paper's 32."""
    return float(min(max(round(0.6 * low * shorter), 8), 32))


def filter_words(rules: ProposalFilter) -> str:
    """As options of data_pipelines/filter_proposals.py."""
    return f'--size {rules.size[0]:g} {rules.size[1]:g} --min-side {rules.min_side:g}'


def filter_row(rules: ProposalFilter, size: str, asked: bool) -> Row:
    """A line for a filter that was chosen by a size."""
    why = f'--size {size}' if asked else f'for {size} objects, as nothing is said of them; --size or --objects choose'
    return Row('filter', filter_words(rules), why)
