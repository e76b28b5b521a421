"""The figures of a probe, beside those of random weights."""

import copy
from dataclasses import dataclass

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn

from mmsoco.errors import UserError
from mmsoco.probe.classification import knn_accuracy, linear_accuracy
from mmsoco.probe.data import BATCH, LabelledBoxes, LabelledImages, MatchedViews
from mmsoco.probe.features import STAGES, BoxFeatures
from mmsoco.probe.retrieval import find_again

#: Figure -> in words.
WORDS = {
    'top1': 'own box nearest of all, in another view',
    'top5': 'own box among the nearest five',
    'own_image': "own box nearest of its image's",
    'knn_boxes': 'labelled boxes, nearest neighbours',
    'linear_boxes': 'labelled boxes, linear classifier',
    'knn_images': 'classes of images, nearest neighbours',
}


@dataclass
class ProbeData:
    """What is measured on; see :mod:`mmsoco.probe.data`."""

    matched: MatchedViews
    boxes: LabelledBoxes | None = None
    images: LabelledImages | None = None


def measure(features: BoxFeatures, data: ProbeData) -> dict[str, dict[str, float]]:
    """All figures of a network.

    Returns:
        Stage -> figure -> value, the figures of :data:`WORDS`, as shares of 1, and
        ``chance_...`` of each.
    """
    figures = _find_again(features, data.matched)
    if data.boxes is not None:
        for stage, more in _classify_boxes(features, data.boxes).items():
            figures[stage] |= more
    if data.images is not None:
        figures['backbone'] |= _classify_images(features, data.images)
    return figures


def random_features(model_cfg: dict, data: ProbeData, device: str | torch.device = 'cpu', seed: int = 0) -> BoxFeatures:
    """The same network with random weights: what its structure alone can do.

    Its BN layers get the statistics of the probe's views; without any its maps
    would be of another size at each layer, and a weak thing to compare with.
    """
    with torch.random.fork_rng([device] if torch.device(device).type == 'cuda' else []):
        torch.manual_seed(seed)
        features = BoxFeatures(build(model_cfg), device=device)
    views = [view for i in (0, 1) for view, _ in data.matched.batches(i)]
    boxes = [rows for i in (0, 1) for _, rows in data.matched.batches(i)]
    features.calibrate(views, boxes)
    return features


def build(model_cfg: dict) -> nn.Module:
    """Build a model with random weights, where its config would fetch some, too."""
    model_cfg = copy.deepcopy(model_cfg)
    forget_weights(model_cfg)
    model = MODELS.build(model_cfg)
    # mmengine would write to the log how each tensor was initialised.
    model._dump_init_info = lambda *_: None
    model.init_weights()
    # A probe is one process' alone, and SyncBN would wait for the others.
    return revert_sync_batchnorm(model)


def forget_weights(node: object) -> None:
    """Take what fetches or loads weights out of a config, in place."""
    if isinstance(node, dict):
        init = node.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            node['init_cfg'] = None
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            forget_weights(item)


def _find_again(features: BoxFeatures, data: MatchedViews) -> dict[str, dict[str, float]]:
    first = _collect([features.of_boxes(*batch, predict=True) for batch in data.batches(0)])
    second = _collect([features.of_boxes(*batch) for batch in data.batches(1)])
    kept = data.distinct.flatten()
    images = torch.arange(len(data.asks)).repeat_interleave(data.distinct.shape[1])[kept]
    asks = data.asks[images]
    own = torch.arange(len(images))[asks]
    return {stage: find_again(first[stage][kept][asks], second[stage][kept], own, images) for stage in features.stages}


def _classify_boxes(features: BoxFeatures, data: LabelledBoxes) -> dict[str, dict[str, float]]:
    rows = [features.of_boxes(view[None], boxes[None]) for view, boxes in zip(data.views, data.boxes, strict=True)]
    labels = torch.cat(data.labels)
    teaches = data.teaches.repeat_interleave(torch.tensor([len(boxes) for boxes in data.boxes]))
    # A class that is only asked for, or only taught, says nothing.
    known = torch.isin(labels, labels[teaches]) & torch.isin(labels, labels[~teaches])
    if not known.any():
        raise UserError(
            'no category of the labelled images has boxes both in those that teach and in those that ask; label more'
        )
    teaches, asks = teaches & known, ~teaches & known
    chance = 1 / len(labels[known].unique())
    figures = {}
    # An embedding is no part of a detector.
    for stage in [stage for stage in features.stages if stage != 'embedding']:
        of_stage = torch.cat([row[stage] for row in rows])
        split = of_stage[teaches], labels[teaches], of_stage[asks], labels[asks]
        figures[stage] = {
            'knn_boxes': knn_accuracy(*split),
            'linear_boxes': linear_accuracy(*split),
            'chance_knn_boxes': chance,
            'chance_linear_boxes': chance,
        }
    return figures


def _classify_images(features: BoxFeatures, data: LabelledImages) -> dict[str, float]:
    of_images = torch.cat([features.of_images(views) for views in data.views.split(BATCH)])
    asks = ~data.teaches
    accuracy = knn_accuracy(of_images[data.teaches], data.labels[data.teaches], of_images[asks], data.labels[asks])
    return {'knn_images': accuracy, 'chance_knn_images': 1 / len(data.labels.unique())}


def _collect(batches: list[dict]) -> dict:
    return {stage: torch.cat([batch[stage] for batch in batches]) for stage in batches[0]}


def format_figures(figures: dict[str, dict[str, float]], random: dict[str, dict[str, float]]) -> str:
    """Both networks' figures as a table, in per cent."""
    lines = [f'{"":<42}{"stage":<10}{"weights":>9}{"random":>9}{"chance":>9}']
    for name, words in WORDS.items():
        for stage in STAGES:
            if name in figures.get(stage, {}):
                beside = random.get(stage, {}).get(name)
                cells = figures[stage][name], beside, figures[stage][f'chance_{name}']
                row = ''.join(f'{"-" if cell is None else format(100 * cell, ".2f"):>9}' for cell in cells)
                lines.append(f'{words:<42}{stage:<10}{row}')
                words = ''
    return '\n'.join(lines)


def main_stage(figures: dict[str, dict[str, float]]) -> str:
    """The last stage: what a pretraining's loss, or a detector's last layers, begin from."""
    return [stage for stage in STAGES if stage in figures][-1]
