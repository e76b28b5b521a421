"""Choosing search and filter by some labelled objects."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList, sample_names
from mmsoco.pretrain.asked import Row
from mmsoco.pretrain.inspection import Facts
from mmsoco.pretrain.proposals import SEGMENTS, TILE, Search, filter_words, least_side, search_for, why_tiles
from mmsoco.proposals.filters import ProposalFilter
from mmsoco.proposals.recall import Labels, measure_recall
from mmsoco.proposals.search.folder import Execution, search_folder
from mmsoco.resources import named

#: Labelled images that are searched, at most, and tiles; an image is searched whole.
IMAGES, TILES = 40, 500
#: Share of the objects below which the best setting is worth a warning.
LOW = 0.3
#: Images a file of a trial: few files, as each is read for every filter, but enough for some processes.
_SHARD = 5
#: Segmentation scale and smallest segment in pixels, for objects smaller than small ones.
FINER = (50, 10)
#: Ranges of sqrt(box area / image area) that are tried: from each of the first up to each of the second.
LOWS, HIGHS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3), (0.2, 0.3, 0.5, 0.8)


@dataclass(frozen=True)
class Trial:
    """A search with a filter, and what it would show a training.

    Attributes:
        recall: Share of the objects that a kept box covers at IoU 0.5.
        hit_rate: Share of the boxes drawn at random that lie on an object.
        score: Harmonic mean of both.
        boxes: Kept, an image.
    """

    search: Search
    rules: ProposalFilter
    recall: float
    hit_rate: float
    score: float
    boxes: float


def searches_for(facts: Facts) -> list[Search]:
    """The searches that are tried: a fine one, and one for each size of object, on copies as for it, or in tiles."""
    finer = Search(*FINER, tile=TILE if why_tiles('small', facts) else None)
    return [finer, *(search_for(size, facts)[0] for size in SEGMENTS)]


def filters_for(shorter: int) -> list[ProposalFilter]:
    """The filters that are tried."""
    ranges = [(low, high) for low in LOWS for high in HIGHS if low < high]
    return [ProposalFilter(size=one, min_side=least_side(one[0], shorter)) for one in ranges]


def try_settings(
    labels: Labels,
    facts: Facts,
    sizes: Mapping[str, tuple[int, int]],
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Trial]:
    """Search a sample of the labelled images in several ways, and filter in more; best first.

    Args:
        labels: Of some of the images.
        facts: Of the folder.
        sizes: (width, height) of its images, by name.
        jobs: Processes.
        on_progress: Called with how many images, or tiles, of how many are searched, in all searches together.

    Raises:
        UserError: None of the labelled images is among those of the folder, or no setting covers any object.
    """
    labelled = sorted(labels.by_image(sizes))
    if not labelled:
        raise UserError(f'{labels.path} labels none of the images in {facts.root}; file names are compared')
    sample = sample_names(labelled, min(IMAGES, len(labelled)), seed=0)
    ways = [(search, _of_tiles(sample, sizes, search)) for search in searches_for(facts)]
    total = sum(sum(tiles.values()) for _, tiles in ways)
    before, trials = 0, []
    for search, tiles in ways:
        with tempfile.TemporaryDirectory(prefix='mmsoco-objects-') as folder:
            search_folder(
                facts.root,
                folder,
                search.parameters,
                Execution(jobs, timeout=600),
                shard_size=_SHARD,
                image_list=ImageList('labelled', list(tiles)),
                tiling=search.tiling,
                on_progress=lambda result, before=before: on_progress(before + result.done, total),
            )
            for rules in filters_for(search.tile or facts.sides[0]):
                seen = measure_recall(folder, labels, rules)
                figures = seen.recall, seen.hit_rate, seen.score, seen.proposals / seen.images
                trials.append(Trial(search, rules, *figures))
        before += sum(tiles.values())
    best, *others = sorted(trials, key=lambda trial: (-trial.score, -trial.recall))
    if not best.score:
        raise UserError(
            f'none of {len(trials)} settings finds any object of {labels.path} at IoU 0.5; see whether its boxes are '
            'x, y, width and height in pixels of these images, or leave --objects away and say --size'
        )
    return [best, *others]


def _of_tiles(sample: Sequence[str], sizes: Mapping[str, tuple[int, int]], search: Search) -> dict[str, int]:
    """The first images of a sample that have :data:`TILES` tiles at most, but one at least, and the tiles of each."""
    tiles: dict[str, int] = {}
    for name in sample:
        count = search.count_tiles(sizes[name])
        if tiles and sum(tiles.values()) + count > TILES:
            break
        tiles[name] = count
    return tiles


def rows_for(trials: Sequence[Trial]) -> list[Row]:
    """What was chosen, as lines of the table."""
    best = trials[0]
    why = (
        f'covers {best.recall:.0%} of the objects at IoU 0.5, and {best.hit_rate:.0%} of the boxes that are drawn lie '
        f'on one; best of {len(trials)} settings by the harmonic mean of both'
    )
    rows = [Row('search', str(best.search), 'by the labelled objects'), Row('filter', filter_words(best.rules), why)]
    if best.recall < LOW:
        why = f'the training hardly sees what is labelled; {named("docs/choose_proposals.md")} has other ways to boxes'
        rows.append(Row('warning', f'{1 - best.recall:.0%} of the objects are missed', why))
    return rows


def format_trials(trials: Sequence[Trial], count: int = 8) -> str:
    """The best of each search, and the best of all, as a table in per cent."""
    lines = [f'{"search":<28}{"filter":<30}{"recall":>8}{"hits":>7}{"score":>7}{"boxes":>8}']
    for trial in trials[:count]:
        lines.append(
            f'{trial.search!s:<28}{filter_words(trial.rules):<30}{100 * trial.recall:>8.1f}{100 * trial.hit_rate:>7.1f}'
            f'{100 * trial.score:>7.1f}{trial.boxes:>8.1f}'
        )
    if len(trials) > count:
        worst = trials[-1]
        lines.append(f'and {len(trials) - count} more, down to a score of {100 * worst.score:.1f}')
    lines.append('recall: objects that a kept box covers (IoU 0.5); hits: boxes drawn at random that lie on an object;')
    lines.append('score: the harmonic mean of both, by which the first is chosen; boxes: kept, an image.')
    return '\n'.join(lines)
