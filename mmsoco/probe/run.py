"""The probe as a tool."""

import json
import os

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmsoco.checkpoints.guard import guard_loading
from mmsoco.config import hold_out, is_pretraining, read_config, require
from mmsoco.errors import UserError, reason
from mmsoco.files import atomic_path, check_out
from mmsoco.probe.data import first_view_size, labelled_boxes, labelled_images, matched_views, reading_of
from mmsoco.probe.features import BoxFeatures
from mmsoco.probe.measure import ProbeData, format_figures, measure, random_features
from mmsoco.probe.weights import find_config, load_network
from mmsoco.renamed import renamed_arguments


@renamed_arguments(pictures='images', labelled_pictures_root='labelled_images_root')
def probe(
    checkpoint: str | os.PathLike,
    config: str | os.PathLike | None = None,
    proposals: str | os.PathLike | None = None,
    images: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
    labelled_images_root: str | os.PathLike | None = None,
    classes: str | os.PathLike | None = None,
    size: int | None = None,
    boxes: int = 2000,
    device: str = 'cpu',
    out: str | os.PathLike | None = None,
    trust_checkpoint: bool = False,
) -> str:
    """Measure a checkpoint beside random weights; the arguments are those of ``tools/probe.py``.

    Returns:
        A table.

    Raises:
        UserError: Something that was given is wrong or missing.
    """
    _check(size, device, labels, labelled_images_root)
    labelled = None if labels is None else (labels, labelled_images_root)
    guard_loading()
    if out is not None:
        check_out(out, *(path for path in (checkpoint, config, proposals, labels) if path is not None))
    config = config or find_config(checkpoint)
    if out is not None:
        check_out(out, config)
    cfg = read_config(config)
    require(cfg, 'model')
    hold_out(cfg)
    init_default_scope(cfg.get('default_scope', 'mmsoco'))
    model, stages, misfit = load_network(cfg, checkpoint, trust_checkpoint)
    data = _data(cfg, proposals, images, size, boxes, labelled, classes)
    figures = measure(BoxFeatures(model, stages, device), data)
    random = measure(random_features(cfg.model, data, device), data)
    if out is not None:
        with atomic_path(out) as temporary:
            temporary.write_text(json.dumps({'weights': figures, 'random': random}, indent=1) + '\n')
    matched = data.matched
    lines = [
        f'{int(matched.distinct[matched.asks].sum())} boxes of {int(matched.asks.sum())} held-out images, '
        f'among {int(matched.distinct.sum())}; in per cent',
        format_figures(figures, random),
    ]
    if misfit:
        lines.append(f'up to the {stages[-1]}: of what follows, {misfit} in the checkpoint')
    return '\n'.join(lines)


def _check(
    size: int | None,
    device: str,
    labels: str | os.PathLike | None,
    labelled_root: str | os.PathLike | None,
) -> None:
    """Refuse what cannot work before anything is computed."""
    if size is not None and size % 32:
        raise UserError(f'--size {size} does not fit the strides of a network; give a multiple of 32')
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'--device {device} cannot be used ({reason(error, bare=True)}); give cpu or cuda') from None
    if (labels is None) != (labelled_root is None):
        raise UserError('--labels and --labelled-images go together: annotations, and the folder of their images')


def _data(
    cfg: Config,
    proposals: str | os.PathLike | None,
    images: str | os.PathLike | None,
    size: int | None,
    boxes: int,
    labelled: tuple | None,
    classes: str | os.PathLike | None,
) -> ProbeData:
    dataset = cfg.train_dataloader.dataset if is_pretraining(cfg) else {}
    held_out = None
    if proposals is None:
        held_out = dataset.get('held_out')
        if held_out is None:
            raise UserError(
                'no images to measure on; give a proposal file of images that were not trained on: --proposals FILE'
            )
        proposals, images = dataset.proposal_file, images or dataset.get('data_root')
    size = size or (first_view_size(dataset) if dataset else 224)
    reading = reading_of(proposals)
    return ProbeData(
        matched_views(
            proposals,
            images,
            held_out=held_out,
            size=size,
            boxes=boxes,
            follow_links=dataset.get('follow_links', False),
        ),
        None if labelled is None else labelled_boxes(*labelled, size, reading=reading),
        None if classes is None else labelled_images(classes, size, reading=reading),
    )
