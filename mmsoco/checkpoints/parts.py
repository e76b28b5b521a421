"""Which parts of a network a file of weights can fill, whatever tool wrote it."""

from collections.abc import Mapping

from torch import Tensor

#: Part -> what its names begin with in mmdet's detectors and in pretrainings; each builds on those before it.
PARTS = {
    'backbone': ('backbone.',),
    'neck': ('neck.',),
    'head': ('roi_head.bbox_head.shared_', 'roi_head.bbox_head.0.shared_', 'roi_head.shared_head.'),
    'embedding': ('projector.', 'predictor.'),
}


def fill_parts(model: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str], str]:
    """Find the parts whose every weight is given, up to the first that is not.

    Args:
        model: State dict of a pretraining or a detector of mmdet.
        given: In the same names or, of a backbone alone, in bare ones, as torchvision
            has them.

    Returns:
        Model's name -> weight, the parts that they fill, and what stopped it: the first
        name that does not fit, in words, or ''.
    """
    if not any(name.startswith('backbone.') for name in given):
        given = {f'backbone.{name}': tensor for name, tensor in given.items()}
    weights, parts = {}, []
    for part, beginnings in PARTS.items():
        # Counts of BN's batches are of no use, and some tools leave them out.
        names = [name for name in model if name.startswith(beginnings) and not name.endswith('num_batches_tracked')]
        for name in names:
            if name not in given:
                return weights, parts, f'{name} is missing'
            if given[name].shape != model[name].shape:
                return weights, parts, f'{name} is {tuple(given[name].shape)} instead of {tuple(model[name].shape)}'
        if names:
            weights |= {name: given[name] for name in names}
            parts.append(part)
    return weights, parts, ''
