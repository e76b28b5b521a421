"""Checkpoints of the released SoCo code, to mmsoco's and back."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

import mmsoco
from mmsoco.checkpoints.files import read_checkpoint
from mmsoco.checkpoints.pretraining import detector_weights
from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.errors import UserError
from mmsoco.files import atomic_path

_MLP = (('linear1', 'fc0'), ('bn1', 'bn0'), ('linear2', 'fc1'))
_ONLINE = {
    # Before `encoder`: the C4 model's fifth block is its head.
    'C4': [('encoder.layer4', 'roi_head.shared_head.layer4'), ('encoder', 'backbone')],
    'FPN': [
        ('encoder', 'backbone'),
        ('neck', 'neck'),
        *((f'head.conv{i + 1}', f'roi_head.bbox_head.shared_convs.{i}.conv') for i in range(4)),
        *((f'head.bn{i + 1}', f'roi_head.bbox_head.shared_convs.{i}.bn') for i in range(4)),
        ('head.fc1', 'roi_head.bbox_head.shared_fcs.0'),
    ],
}
#: Optimizer steps in an epoch of ImageNet's 1,281,167 pictures at a batch of 2048.
IMAGENET_STEPS = 1_281_167 // 2048
#: Buffers of the released C4 model that nothing uses, with their default shapes.
LEFTOVERS = {'queue': (128, 65536), 'queue_ptr': (1,)}


def _prefixes(kind: str) -> list[tuple[str, str]]:
    """(released, ours) prefixes of parameter names, online and target, of 'FPN' or 'C4'."""
    followed = [*_ONLINE[kind], *((f'projector.{theirs}', f'projector.{ours}') for theirs, ours in _MLP)]
    target = []
    for theirs, ours in followed:
        part, _, rest = theirs.partition('.')
        target.append((f'{part}_k.{rest}' if rest else f'{part}_k', f'target.{ours}'))
    predictor = [(f'predictor.{theirs}', f'predictor.{ours}') for theirs, ours in _MLP]
    return [(f'{theirs}.', f'{ours}.') for theirs, ours in (*followed, *predictor, *target)]


def _rename(weights: Mapping[str, Tensor], prefixes: list[tuple[str, str]], source: str) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in weights.items():
        match = next(((old, new) for old, new in prefixes if name.startswith(old)), None)
        if match is None:
            raise UserError(f'{source} holds {name}, which is no part of a SoCo model of the paper')
        renamed[match[1] + name.removeprefix(match[0])] = tensor
    missing = [new for _, new in prefixes if not any(name.startswith(new) for name in renamed)]
    if missing:
        raise UserError(f'{source} lacks {len(missing)} parts of a SoCo model, among them {missing[0]}*')
    return renamed


def _kind(names: Mapping[str, Tensor]) -> str:
    return 'FPN' if any(name.startswith('neck.') for name in names) else 'C4'


def parameter_order(state_dict: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Names of the online parameters as both optimizers number them.

    First all 1-D ones (no decay, no adaptation), then the others, each in the
    order of the modules, which is mmsoco's order in the state dict.

    Args:
        state_dict: Of mmsoco, as a model gives it or as converted.
    """
    parts = ('backbone.', 'neck.', 'roi_head.', 'projector.', 'predictor.')
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    names = [name for part in parts for name in state_dict if name.startswith(part) and not name.endswith(statistics)]
    return [n for n in names if state_dict[n].ndim <= 1], [n for n in names if state_dict[n].ndim > 1]


def _check_momentum(optimizer: dict, weights: Mapping[str, Tensor], source: str) -> list[list[int]]:
    """The two groups' parameter numbers, when they and the momenta are what the weights ask for."""
    order = parameter_order(weights)
    groups = [group['params'] for group in optimizer['param_groups']]
    names = [name for group in order for name in group]
    if [len(group) for group in groups] != [len(group) for group in order]:
        raise UserError(
            f"{source}'s optimizer has groups of {', '.join(str(len(g)) for g in groups)} parameters; "
            f'{len(order[0])} 1-D ones and {len(order[1])} others were expected'
        )
    for number, state in optimizer['state'].items():
        momentum = state.get('momentum_buffer')
        if momentum is not None and momentum.shape != weights[names[number]].shape:
            raise UserError(
                f"{source}'s momentum {number} is {tuple(momentum.shape)}, but {names[number]} is "
                f'{tuple(weights[names[number]].shape)}: its parameters are numbered in another order'
            )
    return groups


def from_official(official: dict, source: str) -> dict:
    """A checkpoint of the released code as one of mmsoco.

    What mmsoco has no use for (``opt``, ``scheduler``, ``amp``, the C4 model's
    queue) is kept under ``released``, for the way back.

    Args:
        official: As :func:`torch.load` gives it.
        source: Where it came from, for messages.

    Raises:
        UserError: It is something else.
    """
    weights = official.get('model')
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(
            f"{source} is not a checkpoint of the released SoCo code: it should hold the weights under 'model', but "
            f'holds {", ".join(map(str, list(official)[:8])) or "nothing"}'
        )
    weights = {name.removeprefix('module.'): tensor for name, tensor in weights.items()}
    leftovers = {name: weights.pop(name) for name in LEFTOVERS if name in weights}
    state_dict = _rename(weights, _prefixes(_kind(weights)), source)
    epoch = official.get('epoch', 0)
    checkpoint = {
        # The step is made anew by the run that goes on, from the epoch and its data.
        'meta': {'epoch': epoch, 'iter': epoch * IMAGENET_STEPS, 'mmsoco': mmsoco.__version__},
        'state_dict': state_dict,
        'message_hub': {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}},
        'released': {
            **{key: value for key, value in official.items() if key not in ('model', 'optimizer', 'epoch')},
            'leftovers': leftovers,
        },
    }
    if isinstance(official.get('opt'), argparse.Namespace):
        checkpoint['released']['opt'] = vars(official['opt'])
    if 'optimizer' in official:
        groups = _check_momentum(official['optimizer'], state_dict, source)
        settings = [
            {
                'lr': group['lr'],
                'momentum': group['momentum'],
                'weight_decay': group['weight_decay'],
                'trust': 0.001,
                'eps': 1e-8,
                'adapt': not group['ignore'],
                'params': params,
            }
            for group, params in zip(official['optimizer']['param_groups'], groups, strict=True)
        ]
        checkpoint['optimizer'] = {'state': official['optimizer']['state'], 'param_groups': settings}
    return checkpoint


def to_official(checkpoint: dict, source: str) -> dict:
    """A checkpoint of mmsoco as one of the released code; the inverse of :func:`from_official`.

    Raises:
        UserError: It is no pretraining's, or not of one of the paper's models.
    """
    state_dict = checkpoint.get('state_dict', {})
    detector_weights(state_dict, source)
    kind = _kind(state_dict)
    weights = _rename(state_dict, [(ours, theirs) for theirs, ours in _prefixes(kind)], source)
    kept = dict(checkpoint.get('released', {}))
    leftovers = kept.pop('leftovers', {})
    if kind == 'C4' and not leftovers:
        # The released model insists on having them.
        leftovers = {name: torch.zeros(shape) for name, shape in LEFTOVERS.items()}
        leftovers['queue_ptr'] = leftovers['queue_ptr'].long()
    official = {
        **kept,
        # Where nothing is known, at least that apex has no state to load.
        'opt': argparse.Namespace(**kept.get('opt', {'amp_opt_level': 'O0'})),
        'model': {f'module.{name}': tensor.contiguous() for name, tensor in {**weights, **leftovers}.items()},
        'epoch': checkpoint.get('meta', {}).get('epoch', 0),
    }
    if 'optimizer' in checkpoint:
        groups = _check_momentum(checkpoint['optimizer'], state_dict, source)
        settings = [
            {
                'weight_decay': group['weight_decay'],
                'ignore': not group['adapt'],
                'lr': group['lr'],
                'momentum': group['momentum'],
                'dampening': 0,
                'nesterov': False,
                'params': params,
            }
            for group, params in zip(checkpoint['optimizer']['param_groups'], groups, strict=True)
        ]
        official['optimizer'] = {'state': checkpoint['optimizer']['state'], 'param_groups': settings}
    return official


def convert(path: str | os.PathLike, out: str | os.PathLike, reverse: bool = False) -> str:
    """Convert a checkpoint file of the released code to mmsoco's, or back.

    Args:
        path: Checkpoint to read. Of types with code in them only
            ``argparse.Namespace`` is allowed, which the released files hold.
        out: File to write.
        reverse: From mmsoco's to the released code's.

    Returns:
        A table of what was converted.

    Raises:
        UserError: The file is something else, or holds code; nothing is
            written then.
    """
    if Path(out).suffix != '.pth':
        raise UserError(f'{out} should end in .pth')
    loaded = read_checkpoint(path, allow=() if reverse else (argparse.Namespace,))
    converted = (to_official if reverse else from_official)(loaded, str(path))
    with atomic_path(out) as temporary:
        torch.save(converted, temporary)
    ours = loaded if reverse else converted
    rows = summarise(ours['state_dict'], 'converted')
    momenta = [state.get('momentum_buffer') for state in ours.get('optimizer', {}).get('state', {}).values()]
    momenta = [momentum for momentum in momenta if momentum is not None]
    rows.append(('momenta', str(len(momenta)), f'{sum(momentum.numel() for momentum in momenta):,}', 'converted'))
    return f'{format_table(rows)}\nepochs done: {ours.get("meta", {}).get("epoch", 0)}'
