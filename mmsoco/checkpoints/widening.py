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


def first_convolution(model: Mapping[str, Tensor]) -> str | None:
    """Name of a detector's tensor that meets the image: the first weight of a convolution.

    Modules of mmdet's and mmpretrain's backbones are registered in the order in which an image passes them.

    Args:
        model: State dict of the model itself: files may have their tensors in another order. Of several detectors in
            it, all have the same images, and the name is that in one of them.
    """
    prefix = next(iter(models_in(model)), '')
    for whole, tensor in model.items():
        name = whole.removeprefix(prefix)
        # A position's embedding may have four axes, too, but is no weight.
        if place_of(name).kind == 'backbone' and name.endswith('.weight') and tensor.ndim == 4:
            return name
    return None


def channels_differ(pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """The channels that two first convolutions take, where they differ in these and in nothing else."""
    first = first_convolution(model)
    if first not in pretrained:
        return None
    place = f'{next(iter(models_in(model)), "")}{first}'
    (out, theirs, *kernel), (own_out, own, *own_kernel) = pretrained[first].shape, model[place].shape
    return (theirs, own) if theirs != own and (out, kernel) == (own_out, own_kernel) else None
