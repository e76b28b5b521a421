"""Which parts of a network a file of weights can fill, whatever tool wrote it."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from mmsoco.checkpoints.naming import place_of

#: Part -> the kinds of places that it has in mmdet's detectors; each builds on those before it.
PARTS = {
    'backbone': ('backbone',),
    'neck': ('lateral', 'output', 'neck'),
    'head': ('box_conv', 'box_fc', 'shared_block'),
}


def part_filled_by(name: str, embedding: Sequence[str] = ()) -> str | None:
    """The part that a parameter belongs to: one of :data:`PARTS`, or 'embedding'."""
    if name.partition('.')[0] in embedding:
        return 'embedding'
    place = place_of(name)
    # Of a cascade, the first stage stands for all.
    if place.stage:
        return None
    return next((part for part, kinds in PARTS.items() if place.kind in kinds), None)


def fill_parts(
    model: Mapping[str, Tensor], given: Mapping[str, Tensor], embedding: Sequence[str] = ()
) -> tuple[dict[str, Tensor], list[str], str]:
    """Find the parts whose every weight is given, up to the first that is not.

    Args:
        model: State dict of a pretraining or a detector of mmdet.
        given: In the same names or, of a backbone alone, in bare ones, as torchvision
            has them.
        embedding: The parts that make a pretraining's embedding.

    Returns:
        Model's name -> weight, the parts that they fill, and what stopped it: the first
        name that does not fit, in words, or ''.
    """
    if not any(place_of(name).kind == 'backbone' for name in given):
        given = {f'backbone.{name}': tensor for name, tensor in given.items()}
    weights, parts = {}, []
    for part in (*PARTS, 'embedding'):
        # Counts of BN's batches are of no use, and some tools leave them out.
        names = [
            name
            for name in model
            if part_filled_by(name, embedding) == part and not name.endswith('num_batches_tracked')
        ]
        for name in names:
            if name not in given:
                return weights, parts, f'{name} is missing'
            if given[name].shape != model[name].shape:
                return weights, parts, f'{name} is {tuple(given[name].shape)} instead of {tuple(model[name].shape)}'
        if names:
            weights |= {name: given[name] for name in names}
            parts.append(part)
    return weights, parts, ''
