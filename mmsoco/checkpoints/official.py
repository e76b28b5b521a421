"""Checkpoints of the official SoCo code, to mmsoco's and back."""

import argparse
import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mmsoco
from mmsoco.checkpoints.files import read_checkpoint, save
from mmsoco.checkpoints.naming import Layout, Place
from mmsoco.checkpoints.pretraining import KEY, TARGET, Origin, detector_weights
from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.errors import UserError
from mmsoco.files import atomic_path, check_out
from mmsoco.images.lists import IMAGENET

#: Depth -> convolutions a block, blocks a stage.
RESNETS = {
    18: (2, (2, 2, 2, 2)),
    34: (2, (3, 4, 6, 3)),
    50: (3, (3, 4, 6, 3)),
    101: (3, (3, 4, 23, 3)),
    152: (3, (3, 8, 36, 3)),
}
NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
LINEAR = ('weight', 'bias')
#: Buffers of the official C4 model that nothing uses, with their default shapes.
LEFTOVERS = {'queue': (128, 65536), 'queue_ptr': (1,)}
#: What an official file holds besides, of use to the official code alone.
KEPT = ('opt', 'scheduler', 'amp')


def _resnet(depth: int) -> Iterator[str]:
    """Parameters and buffers of a ResNet, under the names that all tools give them."""
    convolutions, stages = RESNETS[depth]
    yield 'conv1.weight'
    yield from (f'bn1.{kind}' for kind in NORM)
    for stage, blocks in enumerate(stages, 1):
        for block in range(blocks):
            prefix = f'layer{stage}.{block}'
            for i in range(1, convolutions + 1):
                yield f'{prefix}.conv{i}.weight'
                yield from (f'{prefix}.bn{i}.{kind}' for kind in NORM)
            if block == 0 and (stage > 1 or convolutions == 3):
                yield f'{prefix}.downsample.0.weight'
                yield from (f'{prefix}.downsample.1.{kind}' for kind in NORM)


def _mlp(name: str) -> Iterator[tuple[str, str]]:
    for theirs, ours, kinds in (('linear1', 'fc0', LINEAR), ('bn1', 'bn0', NORM), ('linear2', 'fc1', LINEAR)):
        yield from ((f'{name}.{theirs}.{kind}', f'{name}.{ours}.{kind}') for kind in kinds)


def _followed(fpn: bool, depth: int) -> Iterator[tuple[str, str]]:
    """(official, ours) names of all that the target network follows."""
    for name in _resnet(depth):
        # The C4 model's fifth block is its head.
        kind = 'backbone' if fpn or not name.startswith('layer4.') else 'shared_block'
        yield f'encoder.{name}', Place(kind, name).name
    if fpn:
        for i in range(4):
            # The FPN is mmdet's there, too.
            for convolutions in ('lateral', 'output'):
                for name in ('conv.weight', *(f'bn.{kind}' for kind in NORM)):
                    yield (Place(convolutions, name, i).name,) * 2
            yield f'head.conv{i + 1}.weight', Place('box_conv', 'conv.weight', i).name
            yield from ((f'head.bn{i + 1}.{kind}', Place('box_conv', f'bn.{kind}', i).name) for kind in NORM)
        yield from ((f'head.fc1.{kind}', Place('box_fc', kind, 0).name) for kind in LINEAR)
    yield from _mlp('projector')


def official_names(fpn: bool, depth: int) -> dict[str, str]:
    """Every name of the official model -> ours."""
    followed = dict(_followed(fpn, depth))
    target = {theirs.replace('.', '_k.', 1): TARGET + ours for theirs, ours in followed.items()}
    return {**followed, **dict(_mlp('predictor')), **target}


def _rename(weights: Mapping[str, Tensor], fpn: bool, source: str, reverse: bool = False) -> dict[str, Tensor]:
    """The weights under the other names, in the order they have; exactly those of a model of the official code."""
    maps = {depth: official_names(fpn, depth) for depth in RESNETS}
    if reverse:
        maps = {depth: {ours: theirs for theirs, ours in renamed.items()} for depth, renamed in maps.items()}
    # The depth that fits, else the one that fits best, for the message.
    renamed = maps[min(maps, key=lambda depth: len(maps[depth].keys() ^ weights.keys()))]
    for faults, verb in ((renamed.keys() - weights.keys(), 'lacks'), (weights.keys() - renamed.keys(), 'also holds')):
        if faults:
            raise UserError(
                f'{source} is not a {"model with FPN" if fpn else "C4 model"} of the official SoCo code: it {verb} '
                f'{min(faults)} ({len(faults)} such names)'
            )
    return {renamed[name]: tensor for name, tensor in weights.items()}


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


def _check_optimizer(optimizer: Any, weights: Mapping[str, Tensor], source: str, settings: tuple[str, ...]) -> None:
    """Raise unless an optimizer's state is what the weights ask for, with these settings in each of its groups."""
    groups = optimizer.get('param_groups') if isinstance(optimizer, dict) else None
    state = optimizer.get('state') if isinstance(optimizer, dict) else None
    if not isinstance(groups, list) or not isinstance(state, dict):
        raise UserError(f"{source}'s optimizer holds no state and param_groups")
    lacking = [key for group in groups for key in ('params', *settings) if key not in group]
    if lacking:
        raise UserError(f"{source}'s optimizer has a group without {lacking[0]}; it is another optimizer than LARS")
    order = parameter_order(weights)
    if [len(group['params']) for group in groups] != [len(group) for group in order]:
        raise UserError(
            f"{source}'s optimizer has groups of {', '.join(str(len(g['params'])) for g in groups)} parameters; "
            f'{len(order[0])} 1-D ones and {len(order[1])} others were expected'
        )
    numbered = dict(zip(chain(*(group['params'] for group in groups)), chain(*order), strict=True))
    for number, entry in state.items():
        momentum = entry.get('momentum_buffer')
        if number not in numbered:
            raise UserError(f"{source}'s optimizer has a state for parameter {number}, which is in none of its groups")
        if momentum is not None and momentum.shape != weights[numbered[number]].shape:
            raise UserError(
                f"{source}'s momentum {number} is {tuple(momentum.shape)}, but {numbered[number]} is "
                f'{tuple(weights[numbered[number]].shape)}: its parameters are numbered in another order'
            )


def _weights(checkpoint: Mapping, key: str, source: str) -> dict[str, Tensor]:
    weights = checkpoint.get(key)
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise UserError(
            f"{source} should hold the weights under '{key}', but holds "
            f'{", ".join(map(str, list(checkpoint)[:8])) or "nothing"}'
        )
    return weights


def _epoch(epoch: Any, source: str) -> int:
    if type(epoch) is not int or epoch < 0:
        raise UserError(f'{source} should say how many epochs are done, but epoch is {epoch!r}')
    return epoch


def _plain(value: Any) -> Any:
    """Namespaces as dicts, also inside of others."""
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def kept_of(checkpoint: Mapping) -> dict | None:
    """What a converted checkpoint keeps of the official one (as ``released`` in earlier versions); None of others."""
    return checkpoint.get('official', checkpoint.get('released'))


def from_official(official: dict, source: str) -> dict:
    """A checkpoint of the official code as one of mmsoco.

    What mmsoco has no use for (``opt``, ``scheduler``, ``amp``, the C4 model's
    queue) is kept under ``official``, for the way back.

    Args:
        official: As :func:`torch.load` gives it.
        source: Where it came from, for messages.

    Raises:
        UserError: It is something else.
    """
    weights = {name.removeprefix('module.'): t for name, t in _weights(official, 'model', source).items()}
    leftovers = {name: weights.pop(name) for name in LEFTOVERS if name in weights}
    fpn = Layout.of(weights).has_neck
    state_dict = _rename(weights, fpn, source)
    epoch = _epoch(official.get('epoch'), source)
    checkpoint = {
        # ImageNet's steps; the run that goes on counts them anew, by its own data.
        'meta': {
            'epoch': epoch,
            'iter': epoch * (IMAGENET // 2048),
            'mmsoco': mmsoco.__version__,
            KEY: Origin(tuple(part for part in Origin.parts if part != 'neck' or fpn)).describe(),
        },
        'state_dict': state_dict,
        'message_hub': {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}},
        'official': {**{key: _plain(official[key]) for key in KEPT if key in official}, 'leftovers': leftovers},
    }
    if 'optimizer' in official:
        optimizer = official['optimizer']
        _check_optimizer(optimizer, state_dict, source, ('lr', 'momentum', 'weight_decay', 'ignore'))
        groups = [
            {
                'lr': group['lr'],
                'momentum': group['momentum'],
                'weight_decay': group['weight_decay'],
                'trust': 0.001,
                'eps': 1e-8,
                'adapt': not group['ignore'],
                'params': group['params'],
            }
            for group in optimizer['param_groups']
        ]
        checkpoint['optimizer'] = {'state': optimizer['state'], 'param_groups': groups}
    return checkpoint


def to_official(checkpoint: dict, source: str) -> dict:
    """A checkpoint of mmsoco as one of the official code; the inverse of :func:`from_official`.

    Of the optimizer's settings those are written that both have a use for.

    Raises:
        UserError: It is no pretraining's, or not of one of the official models.
    """
    state_dict = _weights(checkpoint, 'state_dict', source)
    detector_weights(state_dict, source)
    fpn = Layout.of(state_dict).has_neck
    weights = _rename(state_dict, fpn, source, reverse=True)
    kept = kept_of(checkpoint) or {}
    leftovers = kept.get('leftovers') or {}
    if not fpn and not leftovers:
        # The official model insists on having them.
        leftovers = {'queue': torch.zeros(LEFTOVERS['queue']), 'queue_ptr': torch.zeros(LEFTOVERS['queue_ptr']).long()}
    opt = kept.get('opt')
    official = {
        **{key: kept[key] for key in KEPT if key in kept},
        # Where nothing is known, at least that apex has no state to load.
        'opt': argparse.Namespace(**(opt if isinstance(opt, dict) else {'amp_opt_level': 'O0'})),
        'model': {f'module.{name}': tensor.contiguous() for name, tensor in {**weights, **leftovers}.items()},
        'epoch': _epoch((checkpoint.get('meta') or {}).get('epoch', 0), source),
    }
    if 'optimizer' in checkpoint:
        optimizer = checkpoint['optimizer']
        _check_optimizer(optimizer, state_dict, source, ('lr', 'momentum', 'weight_decay', 'adapt'))
        groups = [
            {
                'weight_decay': group['weight_decay'],
                'ignore': not group['adapt'],
                'lr': group['lr'],
                'momentum': group['momentum'],
                'dampening': 0,
                'nesterov': False,
                'params': group['params'],
            }
            for group in optimizer['param_groups']
        ]
        official['optimizer'] = {'state': optimizer['state'], 'param_groups': groups}
    return official


def convert(
    path: str | os.PathLike, out: str | os.PathLike, reverse: bool = False, trust_checkpoint: bool = False
) -> str:
    """Convert a checkpoint file of the official code to mmsoco's, or back.

    Args:
        path: Checkpoint to read. Of types with code in them only
            ``argparse.Namespace`` is allowed, which the official files hold.
        out: File to write.
        reverse: From mmsoco's to the official code's.
        trust_checkpoint: Allow any code.

    Returns:
        A table of what was converted.

    Raises:
        UserError: The file is something else, or holds code; nothing is
            written then.
    """
    if Path(out).suffix != '.pth':
        raise UserError(f'{out} should end in .pth')
    check_out(out, path, what='the file to convert')
    loaded = read_checkpoint(path, allow=() if reverse else (argparse.Namespace,), trust=trust_checkpoint)
    converted = (to_official if reverse else from_official)(loaded, str(path))
    with atomic_path(out) as temporary:
        save(converted, temporary)
    ours = loaded if reverse else converted
    rows = summarise(ours['state_dict'], 'converted')
    momenta = [state.get('momentum_buffer') for state in ours.get('optimizer', {}).get('state', {}).values()]
    momenta = [momentum for momentum in momenta if momentum is not None]
    rows.append(('momenta', str(len(momenta)), f'{sum(momentum.numel() for momentum in momenta):,}', 'converted'))
    return f'{format_table(rows)}\nepochs done: {ours.get("meta", {}).get("epoch", 0)}'
