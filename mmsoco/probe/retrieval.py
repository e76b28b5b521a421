"""Finding a box again in another view."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def centred(features: Tensor) -> Tensor:
    """(N, D) rows less their mean, normalised: what they have in common tells nothing apart."""
    return normalize(features - features.mean(dim=0), dim=1)


def find_again(queries: Tensor, gallery: Tensor, own: Tensor, images: Tensor) -> dict[str, float]:
    """How often a box's own features in another view are among the nearest, by cosine of centred features.

    Args:
        queries: (N, D), a row a box.
        gallery: (M, D), the boxes of another view, and boxes of other images to mistake them for.
        own: (N,), the gallery's row of each query.
        images: (M,), the image that a row of the gallery is of.

    Returns:
        ``top1`` and ``top5`` among all M, ``own_image`` among the boxes of the same
        image, each with its ``chance_...``; equals count by chance.
    """
    similarity = centred(queries) @ centred(gallery).T
    mine = similarity.gather(1, own[:, None])
    # What is not a number is near to nothing: it must not pass for a hit.
    nearer, ties = ~(similarity <= mine), similarity == mine
    here = images[own][:, None] == images
    size = len(gallery)
    figures = {
        'top1': _within(nearer, ties, 1),
        'top5': _within(nearer, ties, 5),
        'own_image': _within(nearer & here, ties & here, 1),
        'chance_top1': torch.tensor(1 / size),
        'chance_top5': torch.tensor(min(5 / size, 1.0)),
        'chance_own_image': (1 / here.sum(dim=1)).mean(),
    }
    return {name: float(value) for name, value in figures.items()}


def standard_error(share: float, asked: int) -> float:
    """Of a share of so many boxes; of no box, as if it were one."""
    share = min(max(share, 1 / max(asked, 1)), 1.0)
    return (share * (1 - share) / max(asked, 1)) ** 0.5


def _within(nearer: Tensor, ties: Tensor, places: int) -> Tensor:
    """The mean chance of the own row to be among the first ``places``, equals in random order."""
    left = (places - nearer.sum(dim=1)).clamp(min=0)
    return (left / ties.sum(dim=1).clamp(min=1)).clamp(max=1).float().mean()
