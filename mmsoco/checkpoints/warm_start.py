"""From weights of any kind into a pretraining."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from mmsoco.checkpoints.naming import Layout, Place, place_of
from mmsoco.checkpoints.pretraining import TARGET
from mmsoco.checkpoints.recognition import Weights
from mmsoco.checkpoints.transfer import Transfer, not_finite, plan_transfer

#: Part of a detector -> the kinds of places that are compared to tell whether two are built alike.
_PARTS = {
    'neck': ('lateral', 'output', 'neck'),
    'box head': ('box_conv', 'box_fc', 'box_head'),
    'shared block': ('shared_block', 'shared_norm'),
}


def plan_warm_start(
    weights: Weights,
    model: Mapping[str, Tensor],
    parts: Collection[str],
    new: Sequence[str] = (),
    leave: Sequence[str] = (),
    widen: bool = False,
) -> Transfer:
    """Match weights with a pretraining's parameters and buffers.

    The parts that a detector takes are matched as in
    :func:`~mmsoco.checkpoints.transfer.plan_transfer`: what these weights have of a part has to load. Two
    things are left without being asked: of a detector, a neck or box head that is built otherwise than the
    pretraining's, for instance without norms; and of an earlier pretraining the projector, the predictor and the like,
    unless all of them fit and all else does. The target network is none's to fill: it becomes a copy.

    Args:
        weights: What was recognised.
        model: State dict of the pretraining.
        parts: Those of it that a detector takes.
        new, leave, widen: As there.

    Returns:
        The model's names in ``Transfer.loaded`` are those of its online network.
    """
    online = {name: tensor for name, tensor in model.items() if not name.startswith(TARGET)}
    detector = {name: tensor for name, tensor in online.items() if name.partition('.')[0] in parts}
    embedding = {name: tensor for name, tensor in online.items() if name not in detector}

    given = _as_one_backbone(weights.tensors, detector)
    given, unlike = _split_unlike(given, detector) if weights.is_of_a_detector else (given, {})
    transfer = plan_transfer(given, detector, new=new, leave=leave, widen=widen)
    for reason, tensors in (*unlike.items(), *weights.left.items()):
        transfer.left.setdefault(reason, {}).update(tensors)
    _match_embedding(transfer, weights, embedding)
    # Every step would be skipped.
    transfer.problems += not_finite({name: t for name, t in transfer.loaded.items() if name in embedding})
    return transfer


def _as_one_backbone(given: Mapping[str, Tensor], detector: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a C4 detector the fifth block, which is its head's, as the backbone's, where the pretraining has it there."""
    if Layout.of(detector).is_c4:
        return dict(given)
    places = {name: place_of(name) for name in given}
    return {
        Place('backbone', place.tensor).name if place.kind == 'shared_block' else name: given[name]
        for name, place in places.items()
    }


def _split_unlike(
    given: Mapping[str, Tensor], detector: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """A detector's weights without the parts that are built otherwise than the pretraining's, and those, with why."""
    kept, unlike = dict(given), {}
    for part, kinds in _PARTS.items():
        theirs = {name: tensor for name, tensor in given.items() if place_of(name).kind in kinds}
        own = [name for name in detector if place_of(name).kind in kinds]
        if theirs and _modules(theirs) != _modules(own):
            unlike[f'left: {_difference(part, theirs, own)}'] = theirs
            kept = {name: tensor for name, tensor in kept.items() if name not in theirs}
    return kept, unlike


def _modules(names: Collection[str]) -> set[str]:
    """The modules that parameters belong to: a lost parameter is no other build."""
    return {replace(place_of(name), stage=None).name.rpartition('.')[0] for name in names}


def _difference(part: str, theirs: Collection[str], own: Collection[str]) -> str:
    if not own:
        return f'the pretraining has no {part}'
    have_norms = [any('.bn.' in name for name in names) for names in (theirs, own)]
    if part == 'neck' and have_norms == [False, True]:
        return 'a neck without norms, which the pretraining has'
    return f'another {part} than the pretraining has'


#: What a layer learns and measures; a pretraining may hold besides what it remembers of its images.
_OF_LAYERS = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def _match_embedding(transfer: Transfer, weights: Weights, own: Mapping[str, Tensor]) -> None:
    """Fill what makes the embedding, all or nothing of it: one part of it means nothing without the others."""
    target = {name: tensor for name, tensor in weights.beside.items() if name.startswith(TARGET)}
    beside = {name: tensor for name, tensor in weights.beside.items() if name not in target}
    remembered = {name: beside.pop(name) for name in list(beside) if name.rpartition('.')[2] not in _OF_LAYERS}
    layers = {name: tensor for name, tensor in own.items() if name.rpartition('.')[2] in _OF_LAYERS}
    fits = beside.keys() == layers.keys() and all(beside[name].shape == layers[name].shape for name in layers)
    # What stays new in front of it makes it an embedding of something else.
    fits = fits and not transfer.new and not transfer.problems
    left = {'the target becomes a copy': target, 'remembered of other images': remembered}
    if fits:
        transfer.loaded.update(beside)
    else:
        left['another embedding'] = beside
    transfer.left |= {f'left: {reason}': tensors for reason, tensors in left.items() if tensors}
    if new := {name: tensor for name, tensor in own.items() if name not in transfer.loaded}:
        transfer.new['new: only for pretraining'] = new
