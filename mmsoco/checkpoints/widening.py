"""A backbone's first convolution, for images of another number of channels."""

from collections.abc import Mapping

from torch import Tensor

from mmsoco.checkpoints.naming import place_of
from mmsoco.checkpoints.unwrapping import models_in


def widened(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weights for another number of channels.

    As timm does it (``adapt_input_conv`` in its ``models/_manipulate.py``): those of the known channels are
    repeated in turn and scaled by known / new, so that a channel more does not make the response larger; to one
    channel they are summed up, which is what grey shown in all channels would give.

    Args:
        weight: (out, in, kh, kw), such as a ResNet's ``conv1`` or a patch embedding.
        channels: How many the new one takes.

    Returns:
        (out, channels, kh, kw).
    """
    known = weight.shape[1]
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-channels // known), 1, 1)[:, :channels]
    return repeated * (known / channels)


def first_convolution(state: Mapping[str, Tensor]) -> str | None:
    """Name of a detector's or a pretraining's tensor that meets the image: the first weight of a convolution.

    Modules of mmdet's and mmpretrain's backbones are registered in the order in which an image passes them.
    """
    for name, tensor in state.items():
        # A position's embedding may have four axes, too, but is no weight.
        if place_of(name).kind == 'backbone' and name.endswith('.weight') and tensor.ndim == 4:
            return name
    return None


def channels_differ(pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """The channels that two first convolutions take, where they differ in these and in nothing else."""
    first = first_convolution(pretrained)
    # Of several detectors in a model, all have the same images.
    place = f'{next(iter(models_in(model)), "")}{first}'
    if place not in model:
        return None
    (out, theirs, *kernel), (own_out, own, *own_kernel) = pretrained[first].shape, model[place].shape
    return (theirs, own) if theirs != own and (out, kernel) == (own_out, own_kernel) else None
