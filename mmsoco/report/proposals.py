"""What a page tells of the boxes: how many, how large, and images with them."""

from contextlib import suppress
from pathlib import Path

from mmsoco.datasets.proposal_dataset import select_rows
from mmsoco.errors import UserError
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalStore
from mmsoco.report.content import Content, Picture
from mmsoco.report.figures import image_as_text, plot_distributions
from mmsoco.visualization.proposals import Statistics, choose_rows, draw_proposals, measure

_SHOWN, _SIDE, _BOXES = 8, 300, 10


def tell_boxes(content: Content, proposals: Path, raw: Path | None, held_out: int | str | None) -> None:
    """Boxes as they were searched and as training sees them.

    Args:
        content: What is added to.
        proposals: File of the filtered ones; of one that is not there nothing is told.
        raw: Folder of the search; None where it is not at its end.
        held_out: Which images the training holds out, as its config says.

    Raises:
        UserError: A file is damaged.
    """
    if not proposals.is_file():
        return
    store = ProposalStore.open(proposals)
    unit = 'tiles' if store.header.get('tiles') else 'images'
    content.data.append((f'{unit} with boxes', f'{len(store):,}'))
    with suppress(UserError):
        trained = len(select_rows(store, held_out, wanted=False))
        content.data += [('of these trained on', f'{trained:,}'), ('held out to measure', f'{len(store) - trained:,}')]
    statistics = {}
    if raw is not None:
        with suppress(UserError):
            statistics['searched'] = measure(raw)
    statistics['kept'] = measure(proposals)
    content.boxes = draw(proposals, _SHOWN)
    kept = statistics['kept'].describe()
    content.key.append((f'{kept["boxes an image"]["mean"]:.1f}', 'boxes an image, of which each step draws four'))
    content.distributions = [
        (plot_distributions('counts', statistics, 'counts'), _describe(statistics, 'boxes an image')),
        (plot_distributions('sizes', statistics, 'sizes'), _describe(statistics, 'size')),
    ]


def _describe(statistics: dict[str, Statistics], what: str) -> str:
    """Mean and middle half, of each source."""
    words = []
    for name, part in statistics.items():
        about = part.describe()[what]
        if about:
            words.append(
                f'{name}: mean {about["mean"]:.3g}, half of them from {about["25 %"]:.3g} to {about["75 %"]:.3g}'
            )
    return '; '.join(words) + '.'


def draw(source: Path, count: int, side: int = _SIDE) -> list[Picture]:
    """Some images with their boxes."""
    header, _, _ = read_raw(source)
    images = ImageRoot.of(header, header['root'])
    total = header.get('count') or sum(1 for _ in read_raw(source)[2])
    pictures = []
    for row in choose_rows(source, total, count, seed=0):
        try:
            sheet = draw_proposals([row], images, boxes=_BOXES, columns=1, side=side)
        except UserError:  # it was moved meanwhile, and the page can do without
            continue
        # A sheet of one image has a border.
        address = image_as_text(sheet[6:-6, 6:-6])
        count = f'{_BOXES} of {len(row.boxes)}' if len(row.boxes) > _BOXES else f'{len(row.boxes)}'
        pictures.append(Picture(address, f'{row.file_name} with {count} boxes', f'{count} boxes'))
    return pictures
