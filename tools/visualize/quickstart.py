#!/usr/bin/env python
"""The images of the quickstart; run it in the checkout, by which the configs name the folder.

python tools/visualize/quickstart.py work_dirs/quickstart
"""

import argparse
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from mmengine.config import Config

from mmsoco.boxes import xywh_to_xyxy
from mmsoco.datasets import ProposalDataset
from mmsoco.errors import command
from mmsoco.files import atomic_path
from mmsoco.images.decoding import read_image
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.store import ProposalStore
from mmsoco.report.scalars import read_probe, read_scalars
from mmsoco.visualization.drawing import contact_sheet, draw_boxes, write_image
from mmsoco.visualization.proposals import choose_rows
from mmsoco.visualization.proposals import draw_proposals as boxes_on_images
from mmsoco.visualization.views import draw_matched_views

matplotlib.use('Agg')
from matplotlib import pyplot

PRETRAIN_CONFIG = 'configs/quickstart/soco_r18fpn_digits.py'
WHITE, FOUND = (255, 255, 255), (230, 159, 0)


def draw_figures(folder: str | os.PathLike, detectors: Mapping[str, str]) -> dict[Path, str]:
    """Draw what the quickstart made.

    Args:
        folder: Where ``tools/quickstart.py`` put it.
        detectors: Variant -> the subfolder of the detector to show.

    Returns:
        Path -> what it shows.
    """
    folder = Path(folder)
    figures = {
        'proposals.png': 'selective-search boxes on training sheets',
        'views.png': 'the three views of four sheets; matched boxes have the same colour',
        'learning.png': 'what the pretraining learns: how often a box finds its own in another view',
        'detections.png': 'validation sheets: truth white, detections orange, with the digit that is read',
    }
    draw_proposals(folder, folder / 'proposals.png')
    draw_views(folder, folder / 'views.png')
    draw_learning(folder, folder / 'learning.png')
    draw_detections(folder, folder / 'detections.png', detectors)
    return {folder / name: words for name, words in figures.items()}


def draw_proposals(folder: Path, out: Path) -> None:
    """Six sheets with twelve of their proposals each, drawn at random."""
    source = folder / 'proposals.arrow'
    store = ProposalStore.open(source)
    rows = choose_rows(source, len(store), 6, seed=0)
    write_image(out, boxes_on_images(rows, ImageRoot.of(store.header, folder / 'data/train'), columns=3))


def draw_views(folder: Path, out: Path) -> None:
    """Four samples as the network sees them."""
    config = dict(Config.fromfile(PRETRAIN_CONFIG).train_dataloader.dataset)
    config.pop('type')
    dataset = ProposalDataset(**config)
    samples = [dataset[0, int(i)] for i in np.linspace(5, len(dataset) - 5, 4)]
    write_image(out, contact_sheet([draw_matched_views(s['inputs'], s['boxes'], zoom=2) for s in samples], 2))


def draw_learning(folder: Path, out: Path) -> None:
    """What the training batches and the held-out sheets say over the pretraining's steps, and what chance would."""
    scalars = read_scalars(folder / 'pretrain')
    probe = read_probe(folder / 'pretrain')
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.5), layout='constrained')
    for pair in ('v1_v2', 'v1_v3'):
        steps, shares = zip(*scalars[f'match_top1_{pair}'], strict=True)
        left.plot(steps, [100 * share for share in shares], label=pair.replace('_', '-'))
        middle.plot(*zip(*scalars[f'learned_{pair}'], strict=True), label=pair.replace('_', '-'))
    left.axhline(100 * scalars['chance_top1_v1_v2'][0][1], linestyle=':', color='grey', label='chance')
    left.set(title='Training batches: own box nearest', ylabel='%', ylim=(0, None))
    middle.axhline(0, linestyle=':', color='grey', label='always the mean target')
    middle.set(title='learned: share of the loss gained')
    curve = probe['curve']
    values = [100 * entry['figures']['embedding']['top1'] for entry in curve]
    right.plot([entry['step'] for entry in curve], values, marker='.', label='SoCo')
    right.axhline(100 * probe['random']['embedding']['top1'], linestyle='--', color='C0', label='random weights')
    chance = 100 * curve[0]['figures']['embedding']['chance_top1']
    right.axhline(chance, linestyle=':', color='grey', label='chance')
    right.set(title='Held-out sheets: own box nearest', ylabel='%', ylim=(0, None))
    for axis in (left, middle, right):
        axis.set(xlabel='optimizer step')
        axis.legend()
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=100)
    pyplot.close(figure)


def draw_detections(
    folder: Path, out: Path, detectors: Mapping[str, str], threshold: float = 0.3, zoom: int = 2
) -> None:
    """The validation sheets with most digits: left by the detector from the pretraining, right by that from scratch."""
    truth = json.loads((folder / 'data/val.json').read_text())
    names = {kind['id']: kind['name'] for kind in truth['categories']}
    digits = Counter(annotation['image_id'] for annotation in truth['annotations'])
    cells = []
    for image in sorted(truth['images'], key=lambda image: -digits[image['id']])[:6]:
        sheet = read_image(folder / 'data/val' / image['file_name'])
        boxes = [a['bbox'] for a in truth['annotations'] if a['image_id'] == image['id']]
        with_truth = draw_boxes(sheet, xywh_to_xyxy(_rows(boxes)), [WHITE], zoom=zoom)
        for variant, words in (('soco', 'SoCo'), ('scratch', 'scratch')):
            found = json.loads((folder / detectors[variant] / 'val.bbox.json').read_text())
            found = [d for d in found if d['image_id'] == image['id'] and d['score'] >= threshold]
            rows = zoom * xywh_to_xyxy(_rows([d['bbox'] for d in found]))
            cell = draw_boxes(with_truth, rows, [FOUND], thickness=2)
            for detection, (_, y1, x2, _) in zip(found, rows, strict=True):
                _label(cell, names[detection['category_id']], x2 - 18, y1)
            cells.append(_label(cell, words))
    write_image(out, contact_sheet(cells, 4))


def _rows(boxes: list[list[float]]) -> np.ndarray:
    return np.array(boxes, float).reshape(-1, 4)


def _label(image: np.ndarray, words: str, x: float = 0, y: float = 0) -> np.ndarray:
    """Write white words on black at a place, as far as possible inside the image."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), _ = cv2.getTextSize(words, font, 0.5, 1)
    x, y = int(max(x, 0)), int(max(y, 0))
    cv2.rectangle(image, (x, y), (x + width + 8, y + height + 10), (0, 0, 0), -1)
    return cv2.putText(image, words, (x + 4, y + height + 5), font, 0.5, WHITE, 1, cv2.LINE_AA)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw what the quickstart made: proposals, views, learning, detections.'
    )
    parser.add_argument('folder', help='where tools/quickstart.py put it')
    parser.add_argument('--soco', default='soco', help='subfolder of the detector from the pretraining (default soco)')
    parser.add_argument('--scratch', default='scratch', help='subfolder of the one from scratch (default scratch)')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    for path, words in draw_figures(args.folder, dict(soco=args.soco, scratch=args.scratch)).items():
        print(f'{path}  {words}')


if __name__ == '__main__':
    main()
