"""The pictures of the quickstart."""

import json
import os
from collections import defaultdict
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from mmengine.config import Config

from mmsoco.datasets import ProposalDataset
from mmsoco.files import atomic_path
from mmsoco.proposals.pictures import read_picture
from mmsoco.proposals.store import ProposalStore
from mmsoco.visualization.drawing import contact_sheet, draw_boxes, write_picture
from mmsoco.visualization.proposals import choose_rows
from mmsoco.visualization.proposals import draw_proposals as boxes_on_pictures
from mmsoco.visualization.views import draw_matched_views

matplotlib.use('Agg')
from matplotlib import pyplot

PRETRAIN_CONFIG = 'configs/quickstart/soco_r18fpn_tiles.py'
WHITE, FOUND = (255, 255, 255), (230, 159, 0)


def draw_figures(folder: str | os.PathLike) -> dict[Path, str]:
    """Draw what the quickstart made.

    Args:
        folder: Where :func:`~mmsoco.quickstart.run.run` put it.

    Returns:
        Path -> what it shows.
    """
    folder = Path(folder)
    figures = {
        'proposals.png': (draw_proposals, 'selective-search boxes on training tiles'),
        'views.png': (draw_views, 'the three views of four tiles; matched boxes have the same colour'),
        'loss.png': (draw_loss, "the pretraining's loss and spread of embeddings"),
        'detections.png': (draw_detections, 'validation tiles: truth white, detections orange'),
    }
    for name, (draw, _) in figures.items():
        draw(folder, folder / name)
    return {folder / name: words for name, (_, words) in figures.items()}


def draw_proposals(folder: Path, out: Path) -> None:
    """Six tiles with twelve of their proposals each, drawn at random."""
    source = folder / 'proposals.arrow'
    rows = choose_rows(source, len(ProposalStore.open(source)), 6, seed=0)
    write_picture(out, boxes_on_pictures(rows, folder / 'data/train', columns=3))


def draw_views(folder: Path, out: Path) -> None:
    """Four samples as the network sees them."""
    config = dict(Config.fromfile(PRETRAIN_CONFIG).train_dataloader.dataset)
    config.pop('type')
    dataset = ProposalDataset(**config)
    samples = [dataset[0, int(i)] for i in np.linspace(5, len(dataset) - 5, 4)]
    write_picture(out, contact_sheet([draw_matched_views(s['inputs'], s['boxes']) for s in samples], 2))


def read_scalars(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Name -> (step, value) of what a run, and its resumptions, logged."""
    scalars = defaultdict(dict)
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            for name, value in entry.items():
                scalars[name][entry['step']] = value
    return {name: sorted(values.items()) for name, values in scalars.items()}


def draw_loss(folder: Path, out: Path) -> None:
    """Loss and spread over the pretraining's steps."""
    scalars = read_scalars(folder / 'pretrain')
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.5), layout='constrained')
    for name in ('loss_v1_v2', 'loss_v1_v3'):
        left.plot(*zip(*scalars[name], strict=True), label=name)
    left.set(xlabel='optimizer step', ylabel='loss of a pair (least: -4)')
    left.legend()
    right.plot(*zip(*scalars['target_std'], strict=True))
    channels = Config.fromfile(PRETRAIN_CONFIG).model.projector.out_channels
    right.axhline(channels**-0.5, linestyle='--', color='grey', label=f'fully spread: 1 / sqrt({channels})')
    right.set(xlabel='optimizer step', ylabel='standard deviation of target embeddings', ylim=(0, None))
    right.legend()
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=100)
    pyplot.close(figure)


def draw_detections(folder: Path, out: Path, threshold: float = 0.3) -> None:
    """Six validation tiles: left by the detector from the pretraining, right by the one from scratch."""
    truth = json.loads((folder / 'data/val.json').read_text())
    cells = []
    for image in truth['images'][::2]:
        picture = read_picture(folder / 'data/val' / image['file_name'])
        boxes = [a['bbox'] for a in truth['annotations'] if a['image_id'] == image['id']]
        with_truth = draw_boxes(picture, _xyxy(boxes), [WHITE])
        for variant, words in (('soco', 'SoCo'), ('scratch', 'scratch')):
            found = json.loads((folder / variant / 'val.bbox.json').read_text())
            found = [d['bbox'] for d in found if d['image_id'] == image['id'] and d['score'] >= threshold]
            cell = draw_boxes(with_truth, _xyxy(found), [FOUND], thickness=2)
            cells.append(_label(cell, words))
    write_picture(out, contact_sheet(cells, 4))


def _xyxy(boxes: list[list[float]]) -> np.ndarray:
    boxes = np.array(boxes, float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _label(picture: np.ndarray, words: str) -> np.ndarray:
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), _ = cv2.getTextSize(words, font, 0.5, 1)
    cv2.rectangle(picture, (0, 0), (width + 8, height + 10), (0, 0, 0), -1)
    return cv2.putText(picture, words, (4, height + 5), font, 0.5, WHITE, 1, cv2.LINE_AA)
