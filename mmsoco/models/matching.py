"""Does a prediction find its own box among all others? The figures that tell learning from its looks.

A falling loss, spread embeddings and finite gradients say nothing of learning: an
online network that always predicts the mean of all targets has them, too. These
figures differ; docs/method.md says what they are in runs that learn and that do not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from mmengine.dist import all_gather, all_reduce, get_rank
from torch import Tensor
from torch.nn.functional import normalize

#: Of a direction of a pair: (N, C) predictions, what they are compared with, their loss.
Direction = tuple[Tensor, 'Candidates', Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Candidates:
    """One view's target embeddings on all processes: what a prediction is compared with.

    Attributes:
        embeddings: (M, C) float32, normalised; the rows of the first process first.
        images: (M,) int64, which image a row is of.
        distinct: (M,) bool, False for the copies of a box (where an image has fewer than K).
        own: (N,) int64, the row of each of this process' boxes.
    """

    embeddings: Tensor
    images: Tensor
    distinct: Tensor
    own: Tensor

    def local(self) -> 'Candidates':
        """Those of this process alone."""
        own = self.own
        return Candidates(self.embeddings[own], self.images[own], self.distinct[own], own - own[0])


@torch.no_grad()
def gather_candidates(
    targets: Mapping[tuple[str, str], Tensor],
    images: Tensor,
    num_proposals: int,
    distinct: Mapping[str, Tensor],
) -> dict[tuple[str, str], Candidates]:
    """Collect the target embeddings of all processes, in two messages.

    Args:
        targets: (view name, box set) -> (N, C), the same N for all: image by image, box
            by box, one row or more a box.
        images: (B,) int64, which image each is, counted over all processes.
        num_proposals: K, boxes an image.
        distinct: Box set -> (B,), how many of its K boxes differ; copies follow these.

    Returns:
        The same keys -> what is there to choose from.
    """
    embeddings = torch.stack([normalize(z.detach().float(), dim=-1) for z in targets.values()])
    rows = embeddings.shape[1]
    each = rows // (len(images) * num_proposals)
    owners = images.repeat_interleave(rows // len(images))
    labels = [owners]
    for _, box_set in targets:
        known = distinct[box_set].clamp(min=1)
        first = torch.arange(num_proposals, device=images.device) < known[:, None]
        labels.append(first.flatten().repeat_interleave(each).to(owners.dtype))
    everyone = torch.cat(all_gather(embeddings), dim=1)
    owners, *firsts = torch.cat(all_gather(torch.stack(labels)), dim=1).unbind()
    own = torch.arange(rows, device=images.device) + get_rank() * rows
    return {
        key: Candidates(z, owners, first.bool(), own) for key, z, first in zip(targets, everyone, firsts, strict=True)
    }


@torch.no_grad()
def match_figures(pairs: Mapping[str, list[Direction]]) -> dict[str, Tensor]:
    """How well predictions match, for each pair of views; the same on all processes.

    Copies of a box count once. For the pair ``A_B``, both directions together:

    - ``match_cos_A_B``: cosine of a prediction and its own target.
    - ``other_cos_A_B``: cosine of a prediction and targets of other images.
    - ``match_top1_A_B``: how often its own is the nearest of all the batch's targets;
      among equals by chance.
    - ``chance_top1_A_B``: what ``match_top1`` is without knowledge, 1 / targets.
    - ``match_image_A_B``, ``chance_image_A_B``: the same among the targets of its own
      image, where knowing the image does not help.
    - ``learned_A_B``: how far the loss is below the loss of always predicting the mean of
      all targets, as a share of how far it is for predicting each target exactly.
      0 is knowing nothing of the single box; less, not even the mean. With BYOL's
      loss it is ``(match_cos - |m|) / (1 - |m|)``, m the mean of the normalised targets,
      and 1 at most; a contrastive loss can be lower than for the targets themselves.

    Args:
        pairs: A pair's name -> its directions.

    Returns:
        Name -> a scalar. Cosines are NaN where there is nothing to compare.
    """
    everything = [direction for directions in pairs.values() for direction in directions]
    # Half the precision would make ties.
    with torch.autocast(everything[0][0].device.type, enabled=False):
        sums = torch.stack([_sums(*direction) for direction in everything])
    all_reduce(sums)
    figures, first = {}, 0
    for pair, directions in pairs.items():
        row = sums[first : first + len(directions)].sum(dim=0)
        first += len(directions)
        asked, own, others, pairs_of_others, top1, image, chance, chance_image, gained, gainable = row
        figures |= {
            f'match_cos_{pair}': own / asked,
            f'other_cos_{pair}': others / pairs_of_others,
            f'match_top1_{pair}': top1 / asked,
            f'chance_top1_{pair}': chance / asked,
            f'match_image_{pair}': image / asked,
            f'chance_image_{pair}': chance_image / asked,
            # Targets all alike leave nothing to learn.
            f'learned_{pair}': torch.where(gainable > 1e-3, gained / gainable, 0.0),
        }
    return figures


def _sums(prediction: Tensor, candidates: Candidates, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """What :func:`match_figures` divides, summed over this process' rows; copies weigh nothing."""
    similarity = normalize(prediction.float(), dim=-1) @ candidates.embeddings.T
    own = similarity.gather(1, candidates.own[:, None])
    asks = candidates.distinct[candidates.own].float()
    here = candidates.images[candidates.own][:, None] == candidates.images
    everywhere = candidates.distinct.expand_as(here)
    foreign = ~here & everywhere & (asks[:, None] > 0)
    others = torch.where(foreign, similarity, 0.0).sum()

    weights = candidates.distinct[:, None].float()
    mean = (candidates.embeddings * weights).sum(dim=0, keepdim=True) / weights.sum()
    targets = candidates.embeddings[candidates.own]
    nothing, exactly = loss(mean.expand_as(targets)), loss(targets)
    values = [
        asks.sum(),
        own[:, 0] @ asks,
        others,
        foreign.sum(),
        *(_nearest(similarity, own, among) @ asks for among in (everywhere, here & everywhere)),
        *((1 / among.sum(dim=1).clamp(min=1)) @ asks for among in (everywhere, here & everywhere)),
        nothing - loss(prediction),
        nothing - exactly,
    ]
    return torch.stack([value.float() for value in values])


def _nearest(similarity: Tensor, own: Tensor, among: Tensor) -> Tensor:
    """(N,): whether the own one is the nearest of some, shared with its equals.

    What is not a number is near to nothing: it must not pass for a hit.
    """
    nearer = (~(similarity <= own) & among).sum(dim=1)
    ties = ((similarity == own) & among).sum(dim=1).clamp(min=1)
    return (nearer == 0) / ties
