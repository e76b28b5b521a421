"""From a pretraining into mmdet's detectors and mmpretrain's classifiers."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mmsoco.checkpoints.naming import Layout, Place, place_of, prefix_of
from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.checkpoints.unwrapping import models_in
from mmsoco.checkpoints.widening import channels_differ, first_convolution, widened
from mmsoco.errors import UserError
from mmsoco.resources import named

#: What no pretraining has: kind of place in a model, and why it stays new.
NEW_BY_DESIGN = {
    'rpn': 'new: not part of these weights',
    'mask': 'new: not part of these weights',
    'dense_head': 'new: not part of these weights',
    'box_scores': 'new: depends on the classes',
    'box_deltas': 'new: depends on the classes',
    'classifier': 'new: depends on the classes',
    'shared_norm': 'new: the extra norm after the shared block',
}
#: What weights of other tools may lack as a whole -> how many of it they may have nevertheless, and why it stays new.
_LACKING = {
    re.compile(r'.*\.num_batches_tracked'): (0, "new: counts of BN's batches, which other tools leave out"),
    re.compile(r'.*\.relative_position_index'): (0, "new: follows from the window's size"),
    # A classifier of mmpretrain has one, after its last stage: a weight and a bias.
    re.compile(r'backbone\.norm\d\.\w+'): (2, 'new: norms of the maps, which a classifier has not'),
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
        misplaced: Pretraining's name -> why it has no home, where it should have one.
        missing: The model's names that the pretraining should have and has not.
        problems: What should have been loaded and was not, one line each; what is wrong
            as a whole comes first.
        remedy: The whole lists ``new`` and ``leave`` by which it would fit; empty where it
            does, or where that would give up the backbone.
    """

    loaded: dict[str, Tensor] = field(default_factory=dict)
    new: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    left: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    misplaced: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remedy: dict[str, list[str]] = field(default_factory=dict)

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

    A model that wraps detectors, as a semi-supervised one its student and its teacher,
    has them all filled.

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
    if widen and (channels := channels_differ(pretrained, model)):
        first = first_convolution(model)
        pretrained = {**pretrained, first: widened(pretrained[first], channels[1])}
    transfer = _match(pretrained, model, new, leave)
    if behind:
        transfer.left['left: only for pretraining'] = dict(behind)
    if transfer.misplaced or transfer.missing:
        taken = {name: t for name, t in pretrained.items() if not name.startswith(tuple(leave))}
        advised = [one for prefix in _wholes(model) for one in advice(taken, _within(model, prefix))]
        transfer.problems += dict.fromkeys(one.words for one in advised)
        transfer.problems += transfer.misplaced.values()
        transfer.problems += [f'{name} of the model is not in these weights' for name in transfer.missing]
        if all(one.may_differ for one in advised):
            advised_leave = [*leave, *(entry for one in advised for entry in one.leave)]
            transfer.remedy = _remedy(pretrained, model, new, list(dict.fromkeys(advised_leave)))
    transfer.problems += not_finite(transfer.loaded)
    for option, entries, state in (('new', new, model), ('leave', leave, pretrained)):
        transfer.problems += [
            f"{option}=['{entry}'] fits no name" for entry in entries if not any(n.startswith(entry) for n in state)
        ]
    return transfer


def not_finite(loaded: Mapping[str, Tensor]) -> list[str]:
    """Problems: of a run that diverged, or of variances that were too large for half precision."""
    return [f'{name} of these weights is not finite' for name, t in loaded.items() if not torch.isfinite(t).all()]


def _wholes(model: Mapping[str, Tensor]) -> list[str]:
    """What the names of each detector in a model begin with; ``''`` where the model is one."""
    return models_in(model) or ['']


def _within(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _match(
    pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor], new: Sequence[str], leave: Sequence[str]
) -> Transfer:
    transfer = Transfer()
    homes = {prefix: Homes(pretrained, _within(model, prefix)) for prefix in _wholes(model)}
    used = set()
    for prefix, of_one in homes.items():
        for name, tensor in pretrained.items():
            places = 'left: as the config says' if name.startswith(tuple(leave)) else of_one.of(name)
            if isinstance(places, str):
                transfer.left.setdefault(places, {})[name] = tensor
                continue
            for place in (prefix + place for place in places):
                if place not in model and (reason := _needless(place, model)):
                    transfer.left.setdefault(reason, {})[name] = tensor
                elif place not in model:
                    transfer.misplaced[name] = f'{name} has no place in the model'
                elif model[place].shape != tensor.shape:
                    shapes = f'{tuple(model[place].shape)} in the model, {tuple(tensor.shape)} in these weights'
                    transfer.misplaced[name] = f'{place} is {shapes}'
                else:
                    transfer.loaded[place] = tensor
                    used.add(name)
    # What one of several has no use for, another may have.
    left = {reason: {n: t for n, t in some.items() if n not in used} for reason, some in transfer.left.items()}
    transfer.left = {reason: some for reason, some in left.items() if some}

    reasons, lacking = _reasons(pretrained, leave), _lacking(pretrained)
    for name, own in model.items():
        if name in transfer.loaded:
            continue
        prefix = next((prefix for prefix in homes if name.startswith(prefix)), None)
        bare = name if prefix is None else name.removeprefix(prefix)
        reason = reasons.get(place_of(bare).kind)
        reason = reason or next((why for pattern, why in lacking.items() if pattern.fullmatch(bare)), None)
        if name.startswith(tuple(new)):
            reason = 'new: as the config says'
        if prefix is not None and homes[prefix].is_above_p5(bare):
            reason = 'new: levels above P5 are not pretrained'
        if reason is None:
            transfer.missing.append(name)
        else:
            transfer.new.setdefault(reason, {})[name] = own
    return transfer


def _needless(place: str, model: Mapping[str, Tensor]) -> str | None:
    """Why a model does without a tensor of a part that it has; None where it should have a place."""
    if re.search(r'(^|\.)backbone\.norm\d\.\w+$', place):
        return 'left: norms of maps that the model does not give'
    part, _, tensor = place.rpartition('.')
    if tensor == 'num_batches_tracked' and f'{part}.running_mean' in model:
        return "left: counts of BN's batches, which the model does not keep"
    return None


def _reasons(pretrained: Mapping[str, Tensor], leave: Sequence[str]) -> dict[str, str]:
    """Kind of place in a model -> why it stays new, for those that do."""
    reasons = dict(NEW_BY_DESIGN)
    there = Layout.of(pretrained).kinds
    for part, kinds in OPTIONAL_PARTS.items():
        if not there & set(kinds):
            reasons |= dict.fromkeys(kinds, 'new: not part of these weights')
        elif part.startswith(tuple(leave)):
            reasons |= dict.fromkeys(kinds, 'new: as the config says')
    return reasons | {kind: NEW_BY_DESIGN[kind] for kind in ('box_scores', 'box_deltas')}


def _lacking(pretrained: Mapping[str, Tensor]) -> dict[re.Pattern, str]:
    """Those of :data:`_LACKING` that weights do lack."""
    counts = {pattern: sum(map(bool, map(pattern.fullmatch, pretrained))) for pattern in _LACKING}
    return {pattern: why for pattern, (most, why) in _LACKING.items() if counts[pattern] <= most}


def _remedy(
    pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor], new: Sequence[str], leave: Sequence[str]
) -> dict[str, list[str]]:
    """Entries by which a pretraining would fit; none where its backbone does not."""
    new = [entry for entry in new if any(name.startswith(entry) for name in model)]
    leave = [entry for entry in leave if any(name.startswith(entry) for name in pretrained)]
    transfer = _match(pretrained, model, new, leave)
    # With a part left behind, more of the model stays new by design; so that comes first.
    while transfer.misplaced:
        if any(place_of(name).kind == 'backbone' for name in transfer.misplaced):
            return {}
        leave += beginnings(transfer.misplaced, pretrained)
        transfer = _match(pretrained, model, new, leave)
    new += beginnings(transfer.missing, model)
    return {option: entries for option, entries in (('new', new), ('leave', leave)) if entries}


def beginnings(names: Collection[str], among: Collection[str]) -> list[str]:
    """The shortest beginnings, by whole parts of names, that these names have and no other one of ``among``."""
    others = {one for name in set(among) - set(names) for one in _beginnings(name)}
    return list(dict.fromkeys(next((b for b in _beginnings(name) if b not in others), name) for name in names))


def _beginnings(name: str) -> list[str]:
    return [name[: match.end()] for match in re.finditer(r'\.|$', name)]


@dataclass(frozen=True)
class Advice:
    """A reason why a pretraining does not fit.

    Attributes:
        words: What is so, and what to do.
        may_differ: Whether the model may be so, with what is pretrained left behind.
        leave: What to leave then.
    """

    words: str
    may_differ: bool = False
    leave: tuple[str, ...] = ()


def advice(pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> list[Advice]:
    """The commonest reasons why a pretraining does not fit."""
    found = []
    theirs, own = Layout.of(pretrained), Layout.of(model)
    if theirs.is_c4 and not own.is_c4:
        found.append(Advice('the pretraining is for C4 detectors, which share a block and have no FPN'))
    if theirs.levels and not own.has_neck:
        found.append(Advice('the pretraining has an FPN, the model has none', may_differ=True))
    first = Place('lateral', '', 0).name
    if f'{first}bn.weight' in pretrained and f'{first}conv.bias' in model:
        found.append(Advice("the detector's FPN has no norm; give its neck norm_cfg=dict(type='BN')"))
    heads = [layout.kinds & set(_BOX_HEAD) for layout in (theirs, own)]
    with_norm = {p.index for p in map(place_of, model) if p.kind == 'box_conv' and p.tensor.startswith('bn.')}
    if all(heads) and with_norm != theirs.layers('box_conv'):
        part = prefix_of('box_head')
        words = (
            "the detector's box head is another than the pretrained one; make it a Shared4Conv1FCBBoxHead with "
            f"norm_cfg=dict(type='BN'), or leave the pretrained one: TransferHook(leave=['{part}'])"
        )
        found.append(Advice(words, may_differ=True, leave=(part,)))
    if len({_depth(state) for state in (pretrained, model)}) > 1:
        found.append(Advice('the backbones differ in depth'))
    if channels := channels_differ(pretrained, model):
        words = (
            f"the pretraining's images have {channels[0]} channels, the model's {channels[1]}; give its backbone "
            f'in_channels={channels[0]}, or fit the weights to {channels[1]}: TransferHook(widen=True)'
        )
        found.append(Advice(words))
    return found


def _depth(state: Mapping[str, Tensor]) -> int:
    """Blocks of a ResNet's longest stage, which tell its depth."""
    blocks = (re.match(r'layer3\.(\d+)\.', p.tensor) for p in map(place_of, state) if p.kind == 'backbone')
    return len({block[1] for block in blocks if block})


def require_complete(transfer: Transfer, source: str, hook: str = 'TransferHook', **options: Any) -> None:
    """Raise when something that should load did not.

    Args:
        source: Where the weights came from, for the message.
        hook: Which has ``new`` and ``leave``.
        options: What else the hook has, for the line that it can be replaced by.

    Raises:
        UserError: Naming the first reason, how many there are and, where the model may be
            as it is, all that makes them fit, as a line to paste.
    """
    if not transfer.problems:
        return
    page = named(f'docs/{"transfer" if hook == "TransferHook" else "warm_start"}.md')
    paste = ''
    if transfer.remedy:
        words = ', '.join(f'{option}={value!r}' for option, value in {**transfer.remedy, **options}.items())
        paste = f'; if it is to {"be left" if transfer.misplaced else "stay new"}: {hook}({words})'
    raise UserError(
        f'{source} does not fit this model: {transfer.problems[0].replace("TransferHook", hook)}{paste} '
        f'(the first of {len(transfer.problems)} reasons); {page} says what fits'
    )
