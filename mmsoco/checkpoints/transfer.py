"""From a pretraining into mmdet's detectors and mmpretrain's classifiers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from mmsoco.checkpoints.naming import Layout, Place, place_of, prefix_of
from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.checkpoints.widening import channels_differ, first_convolution, widened
from mmsoco.errors import UserError

#: What no pretraining has: kind of place in a model, and why it stays new.
NEW_BY_DESIGN = {
    'rpn': 'new: not part of the pretraining',
    'mask': 'new: not part of the pretraining',
    'dense_head': 'new: not part of the pretraining',
    'box_scores': 'new: depends on the classes',
    'box_deltas': 'new: depends on the classes',
    'classifier': 'new: depends on the classes',
    'shared_norm': 'new: the extra norm after the shared block',
}
_NECK = ('lateral', 'output', 'neck')
_BOX_HEAD = ('box_conv', 'box_fc', 'box_head', 'box_scores', 'box_deltas')
#: Parts that only some pretrainings have (paper, table 4), by what their names begin with: new where all is missing.
OPTIONAL_PARTS = {prefix_of('neck'): _NECK, prefix_of('box_head'): _BOX_HEAD}


@dataclass
class Transfer:
    """What becomes of each tensor of a pretraining and of the model that it fills.

    Attributes:
        loaded: Model's name -> pretrained tensor.
        new: Why -> (model's name -> its own tensor), for those that stay as initialised.
        left: Why -> (pretraining's name -> tensor), for those that the model has no use for.
        problems: What should have been loaded and was not, one line each.
    """

    loaded: dict[str, Tensor] = field(default_factory=dict)
    new: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    left: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Text for the log: part, tensors, values, what became of them."""
        rows = summarise(self.loaded, 'loaded')
        for reasons in (self.new, self.left):
            for reason, tensors in reasons.items():
                rows += summarise(tensors, reason)
        return format_table(rows)


class Homes:
    """Where the tensors of a pretraining belong in a model, by the names of both.

    Args:
        pretrained, model: State dicts.
    """

    def __init__(self, pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor]):
        self.layout = Layout.of(model)
        # A detector that starts at C3 has one lateral convolution less, and calls P3 its first.
        self.shift = Layout.of(pretrained).levels - self.layout.levels

    def of(self, name: str) -> list[str] | str:
        """The model's names for a pretrained tensor, or why the model has no use for it."""
        place, layout = place_of(name), self.layout
        if layout.is_classifier:
            if place.kind in ('backbone', 'shared_block'):
                return [Place('backbone', place.tensor).name]
            return 'left: a classifier has no such part'
        if place.kind in ('lateral', 'output') and layout.levels:
            index = place.index - self.shift
            if index < 0:
                return 'left: the detector starts at a coarser level'
            return [replace(place, index=index).name]
        if place.kind in _BOX_HEAD:
            if not layout.is_two_stage:
                return 'left: the detector has no box head'
            return [replace(place, stage=stage).name for stage in range(layout.stages)] or [name]
        if layout.is_c4 and place.kind == 'backbone' and place.tensor.startswith('layer4.'):
            return [Place('shared_block', place.tensor).name]
        return [name]

    def is_above_p5(self, name: str) -> bool:
        """Whether a model's name is of a level that no pretraining has: P6 or P7."""
        place = place_of(name)
        return place.kind == 'output' and place.index >= self.layout.levels


def plan_transfer(
    pretrained: Mapping[str, Tensor],
    model: Mapping[str, Tensor],
    new: Sequence[str] = (),
    leave: Sequence[str] = (),
    behind: Mapping[str, Tensor] | None = None,
    widen: bool = False,
) -> Transfer:
    """Match a pretraining's weights with a model's parameters and buffers.

    Args:
        pretrained: Of the parts that detectors have, see
            :func:`~mmsoco.checkpoints.pretraining.detector_weights`.
        model: State dict of a detector of mmdet or a classifier of mmpretrain.
        new: Beginnings of the model's names that may stay new, besides those
            that always do.
        leave: Beginnings of the pretraining's names that may be left behind.
        behind: What the pretraining has besides, for itself alone.
        widen: Whether to fit the first convolution to a model whose images have other
            channels, see :func:`~mmsoco.checkpoints.widening.widened`.
    """
    transfer = Transfer()
    homes = Homes(pretrained, model)
    if widen and (channels := channels_differ(pretrained, model)):
        first = first_convolution(pretrained)
        pretrained = {**pretrained, first: widened(pretrained[first], channels[1])}
    for name, tensor in pretrained.items():
        places = 'left: as the config says' if name.startswith(tuple(leave)) else homes.of(name)
        if isinstance(places, str):
            transfer.left.setdefault(places, {})[name] = tensor
            continue
        for place in places:
            if place not in model:
                transfer.problems.append(f'{name} has no place in the model')
            elif model[place].shape != tensor.shape:
                shapes = f'{tuple(model[place].shape)} in the model, {tuple(tensor.shape)} in the pretraining'
                transfer.problems.append(f'{place} is {shapes}')
            else:
                transfer.loaded[place] = tensor

    if behind:
        transfer.left['left: only for pretraining'] = dict(behind)

    reasons = dict(NEW_BY_DESIGN)
    there = Layout.of(pretrained).kinds
    for part, kinds in OPTIONAL_PARTS.items():
        if not there & set(kinds):
            reasons |= dict.fromkeys(kinds, 'new: this pretraining has none')
        elif part.startswith(tuple(leave)):
            reasons |= dict.fromkeys(kinds, 'new: as the config says')
    reasons |= {kind: NEW_BY_DESIGN[kind] for kind in ('box_scores', 'box_deltas')}
    for name, own in model.items():
        if name in transfer.loaded:
            continue
        reason = reasons.get(place_of(name).kind)
        if name.startswith(tuple(new)):
            reason = 'new: as the config says'
        if homes.is_above_p5(name):
            reason = 'new: levels above P5 are not pretrained'
        if reason is not None:
            transfer.new.setdefault(reason, {})[name] = own
        else:
            transfer.problems.append(
                f"{name} of the model is not in the pretraining; if it is to stay new: TransferHook(new=['{name}'])"
            )
    if transfer.problems:
        taken = {name: t for name, t in pretrained.items() if not name.startswith(tuple(leave))}
        transfer.problems[:0] = advice(taken, model)
    for option, entries, state in (('new', new, model), ('leave', leave, pretrained)):
        transfer.problems += [
            f"{option}=['{entry}'] fits no name" for entry in entries if not any(n.startswith(entry) for n in state)
        ]
    return transfer


def advice(pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> list[str]:
    """The commonest reasons why a pretraining does not fit, in words."""
    lines = []
    theirs, own = Layout.of(pretrained), Layout.of(model)
    if theirs.is_c4 and not own.is_c4:
        lines.append('the pretraining is for C4 detectors, which share a block and have no FPN')
    if theirs.levels and not own.has_neck:
        lines.append('the pretraining has an FPN, the model has none')
    first = Place('lateral', '', 0).name
    if f'{first}bn.weight' in pretrained and f'{first}conv.bias' in model:
        lines.append("the detector's FPN has no norm; give its neck norm_cfg=dict(type='BN')")
    heads = [layout.kinds & set(_BOX_HEAD) for layout in (theirs, own)]
    with_norm = {p.index for p in map(place_of, model) if p.kind == 'box_conv' and p.tensor.startswith('bn.')}
    if all(heads) and with_norm != theirs.layers('box_conv'):
        lines.append(
            "the detector's box head is another than the pretrained one; make it a Shared4Conv1FCBBoxHead with "
            f"norm_cfg=dict(type='BN'), or leave the pretrained one: TransferHook(leave=['{prefix_of('box_head')}'])"
        )
    if len({_depth(state) for state in (pretrained, model)}) > 1:
        lines.append('the backbones differ in depth')
    if channels := channels_differ(pretrained, model):
        lines.append(
            f"the pretraining's images have {channels[0]} channels, the model's {channels[1]}; give its backbone "
            f'in_channels={channels[0]}, or fit the weights to {channels[1]}: TransferHook(widen=True)'
        )
    return lines


def _depth(state: Mapping[str, Tensor]) -> int:
    """Blocks of a ResNet's longest stage, which tell its depth."""
    blocks = (re.match(r'layer3\.(\d+)\.', p.tensor) for p in map(place_of, state) if p.kind == 'backbone')
    return len({block[1] for block in blocks if block})


def require_complete(transfer: Transfer, source: str) -> None:
    """Raise when something that should load did not.

    Raises:
        UserError: Naming the first reason and how many there are.
    """
    if transfer.problems:
        raise UserError(
            f'{source} does not fit this model: {transfer.problems[0]} '
            f'(the first of {len(transfer.problems)} reasons); docs/transfer.md says what fits'
        )
