"""What a file of weights is, whoever wrote it, in the names that detectors here have.

One function a kind of file, tried in the order of :data:`KINDS`; the first that knows it takes
what a detector or a pretraining can begin from, and says of all else why it is left.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from mmsoco.checkpoints.backbones import OF_A_CLASSIFIER, backbone_names
from mmsoco.checkpoints.naming import Place, place_of, prefix_of
from mmsoco.checkpoints.pretraining import TARGET, Origin, detector_weights, is_of_a_task, transferable_weights
from mmsoco.checkpoints.tools import Misfit, torchvision_fpn
from mmsoco.checkpoints.unwrapping import unwrap
from mmsoco.errors import UserError
from mmsoco.resources import named

_BACKBONE = prefix_of('backbone')
_OURS = 'a SoCo pretraining'
#: Network that is taken -> others of the same file: MoCo v1 and v2, MoCo v3 by their authors.
_ENCODERS = {'encoder_q.': ('encoder_k.',), 'base_encoder.': ('momentum_encoder.',)}
_ONLY_THERE = 'left: only for that detector'
#: Layers of a detector that depend on the classes, or have no place in what begins anew.
_TASK = ('rpn', 'mask', 'dense_head', 'box_scores', 'box_deltas')


@dataclass(frozen=True)
class Weights:
    """A file of weights, in mmdet's names.

    Attributes:
        kind: What it is, in words.
        tensors: Of the parts that detectors have.
        beside: Of an earlier pretraining the parts that it alone has, under their own names.
        left: Why -> (the file's name -> tensor), for what nothing here can take.
        origin: What images it saw, as far as it says so; see ``Origin.said``.
        notes: What was done to the names, in words; to be said.
    """

    kind: str
    tensors: dict[str, Tensor]
    beside: dict[str, Tensor] = field(default_factory=dict)
    left: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    notes: tuple[str, ...] = ()

    @property
    def is_of_a_detector(self) -> bool:
        """Whether its parts were trained for a task, in which a pretraining may have others."""
        return self.kind.startswith('a detector')


def recognise(content: Mapping[str, Any], source: str) -> Weights:
    """Take what a detector has out of a file of weights.

    Args:
        content: What was loaded.
        source: Where it came from, for the message; of a file that does not say it, its name tells whether it
            is caffe's.

    Raises:
        UserError: It is of no kind that is known, or holds several models of which none is known to be meant.
    """
    unwrapped = unwrap(content, source)
    state = unwrapped.tensors
    said = Origin.of(content)
    found = next(weights for kind in KINDS if (weights := kind(state, source, said)) is not None)
    left = dict(found.left)
    if unwrapped.others:
        left['left: beside the model'] = unwrapped.others
    origin = said
    # Pretrainings of earlier versions say nothing, and were shown ImageNet's.
    if not said.said and found.kind != _OURS:
        told = Origin.of_config(content)
        origin = told if told.said else Origin.assumed(source)
    return Weights(found.kind, found.tensors, found.beside, left, origin, (*unwrapped.notes, *found.notes))


def _pretraining(state: Mapping[str, Tensor], source: str, said: Origin) -> Weights | None:
    """One of ours, or what was extracted from one."""
    has_backbone = any(place_of(name).kind == 'backbone' for name in state)
    # A projector or a predictor alone may be of any method.
    known = said.said or any(name.startswith(TARGET) for name in state)
    if not has_backbone or not known or _is_torchvisions(state) or any(map(is_of_a_task, _heads(state))):
        return None
    taken = detector_weights(state, source, said)
    return Weights(_OURS, taken, beside={n: t for n, t in state.items() if n not in taken})


def _heads(state: Mapping[str, Tensor]) -> list[str]:
    """Names that no pretraining has, not even among the parts that a detector takes."""
    return [name for name in state if place_of(name).kind in _TASK]


def _detector_of_torchvision(state: Mapping[str, Tensor], source: str, said: Origin) -> Weights | None:
    """Backbone; FPN and box head where they are as ours, in the second versions."""
    if not _is_torchvisions(state):
        return None
    names = {f'{_BACKBONE}body.{tensor}': f'{_BACKBONE}{tensor}' for tensor in _under(state, f'{_BACKBONE}body.')}
    own = [*names.values(), *_OURS_OF_AN_FPN]
    try:
        renaming = torchvision_fpn(own).taken
    except Misfit as reason:  # a backbone that is no ResNet
        raise UserError(f"{source} is a detector of torchvision's, and cannot be taken: {reason}") from None
    names = {theirs: ours for ours, theirs in renaming.items()}
    left = {}
    if not any(re.match(r'backbone\.fpn\.inner_blocks\.\d\.1\.', name) for name in state):
        # The first versions, of which tools.REFUSED says why.
        names = {theirs: ours for theirs, ours in names.items() if place_of(ours).kind == 'backbone'}
        left['left: a neck without norms'] = _starting(state, 'backbone.fpn.')
    taken = {ours: state[theirs] for theirs, ours in names.items() if theirs in state}
    said_of = {*names, *(name for some in left.values() for name in some)}
    left[_ONLY_THERE] = {name: tensor for name, tensor in state.items() if name not in said_of}
    return Weights("a detector of torchvision's", taken, left=left)


def _is_torchvisions(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(f'{_BACKBONE}body.') for name in state)


_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
_CONVOLUTION = ('conv.weight', *(f'bn.{part}' for part in _NORM))
#: The names of an FPN with norms and a 4conv1fc head.
_OURS_OF_AN_FPN = [
    *(Place(kind, t, i).name for kind in ('lateral', 'output', 'box_conv') for i in range(4) for t in _CONVOLUTION),
    *(Place('box_fc', tensor, 0).name for tensor in ('weight', 'bias')),
]


def _detector_of_mmdet(state: Mapping[str, Tensor], source: str, said: Origin) -> Weights | None:
    """Backbone, neck and the shared part of the box head; of a cascade, the first stage's."""
    if not any(name.startswith(_BACKBONE) for name in state) or not any(map(is_of_a_task, state)):
        return None
    taken, left = {}, {}
    for name, tensor in state.items():
        place = place_of(name)
        if place.kind == 'backbone' or (place.kind in _PARTS and not place.stage):
            taken[replace(place, stage=None).name] = tensor
        else:
            why = 'left: of a later stage' if place.stage else _ONLY_THERE
            left.setdefault(why, {})[name] = tensor
    return Weights("a detector of mmdet's", taken, left=left)


_PARTS = ('lateral', 'output', 'neck', 'shared_block', 'box_conv', 'box_fc', 'box_head')


def _encoder(state: Mapping[str, Tensor], source: str, said: Origin) -> Weights | None:
    """A network beside its moving average, as MoCo's authors save them: the one that was trained."""
    for mine, others in _ENCODERS.items():
        if not any(name.startswith(mine) for name in state):
            continue
        inner = _bare(_under(state, mine), source)
        left = {f'{mine}{name}': t for some in inner.left.values() for name, t in some.items()}
        left |= {name: tensor for name, tensor in state.items() if not name.startswith(mine)}
        note = f'of {mine[:-1]} and {others[0][:-1]}, the first is taken'
        return Weights("MoCo's, of its authors", inner.tensors, left={OF_A_CLASSIFIER: left}, notes=(note,))
    return None


def _backbone(state: Mapping[str, Tensor], source: str, said: Origin) -> Weights | None:
    """Of mmpretrain, or another tool that says ``backbone``: a classifier, or a self-supervised method."""
    if not any(name.startswith(_BACKBONE) for name in state):
        return None
    taken = transferable_weights(state, source, said)
    if any(place_of(name).kind != 'backbone' for name in taken):
        return Weights(_OURS, taken, beside={n: t for n, t in state.items() if n not in taken})
    renamed, left, kind = backbone_names(_under(taken, _BACKBONE), source)
    left = {why: {_BACKBONE + name: tensor for name, tensor in some.items()} for why, some in left.items()}
    if others := {name: tensor for name, tensor in state.items() if name not in taken}:
        left[OF_A_CLASSIFIER] = {**left.get(OF_A_CLASSIFIER, {}), **others}
    return Weights(_backbone_of(kind), {_BACKBONE + name: t for name, t in renamed.items()}, left=left)


def _backbone_of(kind: str) -> str:
    return f'a backbone ({kind})' if kind else 'a backbone'


def _bare(state: Mapping[str, Tensor], source: str, said: Origin = Origin()) -> Weights:
    """A backbone in bare names: torchvision's, timm's, or what was extracted for them."""
    renamed, left, kind = backbone_names(state, source)
    if not kind and not said.said:
        raise UserError(
            f'{source} is not a checkpoint of a SoCo pretraining, a detector or a backbone that is known: it holds '
            f'{", ".join(sorted({name.partition(".")[0] for name in state})[:8])}; {named("docs/warm_start.md")} says '
            'which are'
        )
    return Weights(_backbone_of(kind), {_BACKBONE + name: t for name, t in renamed.items()}, left=left)


def _starting(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in _starting(state, prefix).items()}


#: What a file can be; each says None of a file that it does not know, but the last, which refuses.
KINDS: tuple[Callable[[Mapping[str, Tensor], str, Origin], Weights | None], ...] = (
    _pretraining,
    _detector_of_torchvision,
    _detector_of_mmdet,
    _encoder,
    _backbone,
    _bare,
)
