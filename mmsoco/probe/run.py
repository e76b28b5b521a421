"""The probe as a tool."""

import json
import os

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmsoco.engine.launch import read_config
from mmsoco.errors import UserError
from mmsoco.files import atomic_path
from mmsoco.probe.data import first_view_size, labelled_boxes, labelled_pictures, matched_views
from mmsoco.probe.features import BoxFeatures
from mmsoco.probe.measure import ProbeData, format_figures, measure, random_features
from mmsoco.probe.weights import find_config, load_network


def probe(
    checkpoint: str | os.PathLike,
    config: str | os.PathLike | None = None,
    proposals: str | os.PathLike | None = None,
    pictures: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
    labelled_pictures_root: str | os.PathLike | None = None,
    classes: str | os.PathLike | None = None,
    size: int | None = None,
    boxes: int = 2000,
    device: str = 'cpu',
    out: str | os.PathLike | None = None,
) -> str:
    """Measure a checkpoint beside random weights; the arguments are those of ``tools/probe.py``.

    Returns:
        A table.

    Raises:
        UserError: Something that was given is wrong or missing.
    """
    cfg = read_config(config or find_config(checkpoint))
    init_default_scope(cfg.get('default_scope', 'mmsoco'))
    model, stages = load_network(cfg, checkpoint)
    data = _data(cfg, proposals, pictures, size, boxes, labels, labelled_pictures_root, classes)
    figures = measure(BoxFeatures(model, stages, device), data)
    random = measure(random_features(cfg.model, data, device), data)
    if out is not None:
        with atomic_path(out) as temporary:
            temporary.write_text(json.dumps({'weights': figures, 'random': random}, indent=1) + '\n')
    matched = data.matched
    return (
        f'{int(matched.distinct[matched.asks].sum())} boxes of {int(matched.asks.sum())} held-out pictures, '
        f'among {int(matched.distinct.sum())}; in per cent\n{format_figures(figures, random)}'
    )


def _data(
    cfg: Config,
    proposals: str | os.PathLike | None,
    pictures: str | os.PathLike | None,
    size: int | None,
    boxes: int,
    labels: str | os.PathLike | None,
    labelled_root: str | os.PathLike | None,
    classes: str | os.PathLike | None,
) -> ProbeData:
    dataset = cfg.train_dataloader.dataset if 'total_batch_size' in cfg else {}
    held_out = None
    if proposals is None:
        held_out = dataset.get('held_out')
        if held_out is None:
            raise UserError(
                'no pictures to measure on; give a proposal file of pictures that were not trained on: --proposals FILE'
            )
        proposals, pictures = dataset.proposal_file, pictures or dataset.get('data_root')
    size = size or (first_view_size(dataset) if dataset else 224)
    matched = matched_views(proposals, pictures, held_out, size, boxes)
    if labels is not None and labelled_root is None:
        raise UserError('--labels needs the folder of its pictures: --labelled-pictures DIR')
    return ProbeData(
        matched,
        None if labels is None else labelled_boxes(labels, labelled_root, size),
        None if classes is None else labelled_pictures(classes, size),
    )
