"""From a pretraining into mmdet's detectors and mmpretrain's classifiers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.errors import UserError

#: What no pretraining has: pattern of a model's names, and why it stays new.
NEW_BY_DESIGN = {
    r'rpn_head\.': 'new: not part of the pretraining',
    r'roi_head\.mask_head\.': 'new: not part of the pretraining',
    r'bbox_head\.': 'new: not part of the pretraining',  # of detectors with one stage
    r'roi_head\.bbox_head\.(\d+\.)?fc_(cls|reg)\.': 'new: depends on the classes',
    r'head\.': 'new: depends on the classes',  # of classifiers
    r'roi_head\.shared_head\.norm\.': 'new: the extra norm after the shared block',
}
#: Parts that only some pretrainings have (paper, table 4): new where the whole part is missing.
OPTIONAL_PARTS = {r'neck\.': 'neck.', r'roi_head\.bbox_head\.': 'roi_head.bbox_head.'}


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


def count(names: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers the pattern's group takes among the names."""
    return len({match[1] for name in names if (match := re.match(pattern, name))})


class Homes:
    """Where the tensors of a pretraining belong in a model, by the names of both.

    Args:
        pretrained, model: State dicts.
    """

    def __init__(self, pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor]):
        parts = {name.split('.')[0] for name in model}
        self.classifier = parts <= {'backbone', 'head'}
        self.two_stage = 'roi_head' in parts
        self.c4 = any(name.startswith('roi_head.shared_head.') for name in model)
        # Of a cascade, which has a box head a stage; else 0.
        self.stages = count(model, r'roi_head\.bbox_head\.(\d+)\.')
        self.levels = count(model, r'neck\.lateral_convs\.(\d+)\.')
        # A detector that starts at C3 has one lateral convolution less, and calls P3 its first.
        self.shift = count(pretrained, r'neck\.lateral_convs\.(\d+)\.') - self.levels

    def of(self, name: str) -> list[str] | str:
        """The model's names for a pretrained tensor, or why the model has no use for it."""
        level = re.match(r'(neck\.(?:lateral|fpn)_convs\.)(\d+)(\..*)', name)
        if self.classifier:
            name = name.replace('roi_head.shared_head.', 'backbone.')
            return [name] if name.startswith('backbone.') else 'left: a classifier has no such part'
        if level and self.levels:
            index = int(level[2]) - self.shift
            return [f'{level[1]}{index}{level[3]}'] if index >= 0 else 'left: the detector starts at a coarser level'
        if name.startswith('roi_head.bbox_head.'):
            if not self.two_stage:
                return 'left: the detector has no box head'
            stages = [f'{stage}.' for stage in range(self.stages)] or ['']
            return [name.replace('bbox_head.', f'bbox_head.{stage}') for stage in stages]
        if self.c4:
            name = name.replace('backbone.layer4.', 'roi_head.shared_head.layer4.')
        return [name]

    def is_above_p5(self, name: str) -> bool:
        """Whether a model's name is of a level that no pretraining has: P6 or P7."""
        extra = re.match(r'neck\.fpn_convs\.(\d+)\.', name)
        return bool(extra) and int(extra[1]) >= self.levels


def plan_transfer(
    pretrained: Mapping[str, Tensor],
    model: Mapping[str, Tensor],
    new: Sequence[str] = (),
    leave: Sequence[str] = (),
) -> Transfer:
    """Match a pretraining's weights with a model's parameters and buffers.

    Args:
        pretrained: Of the parts that detectors have, see
            :func:`~mmsoco.checkpoints.pretraining.detector_weights`.
        model: State dict of a detector of mmdet or a classifier of mmpretrain.
        new: Beginnings of the model's names that may stay new, besides those
            that always do.
        leave: Beginnings of the pretraining's names that may be left behind.
    """
    transfer = Transfer()
    homes = Homes(pretrained, model)
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

    reasons = {re.escape(prefix): 'new: as the config says' for prefix in new} | NEW_BY_DESIGN
    for pattern, part in OPTIONAL_PARTS.items():
        if not any(name.startswith(part) for name in pretrained):
            reasons[pattern] = 'new: this pretraining has none'
        elif part.startswith(tuple(leave)):
            reasons[pattern] = 'new: as the config says'
    for name, own in model.items():
        if name in transfer.loaded:
            continue
        reason = next((why for pattern, why in reasons.items() if re.match(pattern, name)), None)
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

    def has(state: Mapping[str, Tensor], pattern: str) -> bool:
        return any(re.match(pattern, name) for name in state)

    lines = []
    if has(pretrained, r'roi_head\.shared_head\.') and not has(model, r'roi_head\.shared_head\.'):
        lines.append('the pretraining is for C4 detectors, which share a block and have no FPN')
    if has(pretrained, r'neck\.lateral_convs\.') and not has(model, r'neck\.'):
        lines.append('the pretraining has an FPN, the model has none')
    if has(pretrained, r'neck\.lateral_convs\.0\.bn\.') and has(model, r'neck\.lateral_convs\.0\.conv\.bias'):
        lines.append("the detector's FPN has no norm; give its neck norm_cfg=dict(type='BN')")
    if has(pretrained, r'roi_head\.bbox_head\.') and has(model, r'roi_head\.bbox_head\.'):
        convolutions = count(model, r'roi_head\.bbox_head\.(?:0\.)?shared_convs\.(\d+)\.bn\.')
        if convolutions != count(pretrained, r'roi_head\.bbox_head\.shared_convs\.(\d+)\.'):
            lines.append(
                "the detector's box head is another than the pretrained one; make it a Shared4Conv1FCBBoxHead with "
                "norm_cfg=dict(type='BN'), or leave the pretrained one: TransferHook(leave=['roi_head.bbox_head.'])"
            )
    depths = [count(state, r'backbone\.layer3\.(\d+)\.') for state in (pretrained, model)]
    if depths[0] != depths[1]:
        lines.append('the backbones differ in depth')
    return lines


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
