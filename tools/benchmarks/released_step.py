"""A training step with the arithmetic of SoCo's released code, to compare with.

Of the package it is given the modules; nothing of it is imported. What is done with them is the
released code's way: each pair of views is forwarded for itself (so the first view is, twice), every
box goes through everything on every level and its own level is chosen in the loss, and moving average
and LARS go tensor by tensor.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align


def pool(feature_map: Tensor, boxes: Tensor, view_size: int, output_size: int) -> Tensor:
    """RoIAlign of (B, K, 4) boxes in view pixels: (B * K, C, output_size, output_size), image after image."""
    return roi_align(
        feature_map,
        list(boxes),
        output_size,
        spatial_scale=feature_map.shape[-1] / view_size,
        sampling_ratio=-1,
        aligned=True,
    )


def fpn_levels(boxes: Tensor, integer: bool, bounds: Sequence[float] = (48, 96, 192)) -> Tensor:
    """The level, 0 to 3, of each box: (B, K, 4) to (B, K)."""
    if integer:
        boxes = boxes.long()
    width = boxes[..., 2] - boxes[..., 0] + int(integer)
    height = boxes[..., 3] - boxes[..., 1] + int(integer)
    size = (width * height).sqrt()
    levels = torch.zeros_like(size, dtype=torch.long)
    for bound in bounds:
        levels += size > bound
    return levels


def direction_loss(
    p: Sequence[Tensor],
    z: Sequence[Tensor],
    levels_a: Tensor,
    levels_b: Tensor,
    identities_a: Tensor,
    identities_b: Tensor,
) -> Tensor:
    """View a predicts view b; p and z hold a (B, K, C) tensor for every level, the others are (B, K)."""
    same = identities_a[:, :, None] == identities_b[:, None, :]
    similarity, matches = 0, 0
    for i in range(len(p)):
        for j in range(len(z)):
            mask = same & (levels_a == i)[:, :, None] & (levels_b == j)[:, None, :]
            cosine = F.cosine_similarity(p[i][:, :, None], z[j][:, None, :], dim=-1)
            similarity = similarity + (mask * cosine).sum(dim=(1, 2))
            matches = matches + mask.sum(dim=(1, 2))
    assert (matches > 0).all(), 'an image has no proposal in both views'
    return (-2 * similarity / matches).mean()


def by_image(rows: Tensor, boxes: Tensor) -> Tensor:
    """(B * K, C) to (B, K, C) in float32 or better, as the loss is computed."""
    return rows.view(*boxes.shape[:2], -1).to(torch.promote_types(rows.dtype, torch.float32))


class ReleasedStep:
    """Loss, moving average and optimizer over the modules of an FPN model.

    Args:
        model: With ``backbone``, ``neck``, ``roi_head.bbox_head``, ``projector``, ``predictor`` and their
            copies in ``target``; contiguous, as the released code's is.
        bounds: Largest sqrt(wh) of each level but the last, in view pixels.
        output_size: Side of what is pooled.
        lr, momentum, weight_decay, trust, eps: Of LARS.
    """

    def __init__(
        self,
        model: nn.Module,
        bounds: Sequence[float] = (48, 96, 192),
        output_size: int = 7,
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 1e-5,
        trust: float = 0.001,
        eps: float = 1e-8,
    ):
        self.model = model
        self.bounds, self.output_size = bounds, output_size
        self.lr, self.momentum, self.weight_decay, self.trust, self.eps = lr, momentum, weight_decay, trust, eps
        self.velocity: dict[Tensor, Tensor] = {}

    def embed(self, network: nn.Module, view: Tensor, boxes: Tensor) -> list[Tensor]:
        """A view's projections on each level, (B * K, C): of the online or of the target network."""
        maps = network.neck(network.backbone(view))
        projections = []
        for feature_map in maps:
            features, _ = network.roi_head.bbox_head(pool(feature_map, boxes, view.shape[-1], self.output_size))
            projections.append(network.projector(features))
        return projections

    def predict(self, view: Tensor, boxes: Tensor) -> list[Tensor]:
        """The online network's predictions on each level, (B * K, C)."""
        return [self.model.predictor(projection) for projection in self.embed(self.model, view, boxes)]

    def loss(
        self,
        inputs: Mapping[str, Tensor],
        boxes: Mapping[str, Mapping[str, Tensor]],
        matches: Mapping[str, Iterable[tuple[str, str]]],
    ) -> Tensor:
        """The scalar loss of a batch; the arguments are the package's, row k of a set matching row k."""
        total = 0
        for box_set, pairs in matches.items():
            for pair in pairs:
                p, z, levels = {}, {}, {}
                for name in pair:
                    rows = boxes[name][box_set]
                    levels[name] = fpn_levels(rows, integer=False, bounds=self.bounds)
                    p[name] = [by_image(y, rows) for y in self.predict(inputs[name], rows)]
                    with torch.no_grad():
                        projections = self.embed(self.model.target, inputs[name], rows)
                    z[name] = [by_image(y, rows) for y in projections]
                identities = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape[:2])
                for a, b in (pair, pair[::-1]):
                    total = total + direction_loss(p[a], z[b], levels[a], levels[b], identities, identities)
        return total

    @torch.no_grad()
    def update_target(self, momentum: float) -> None:
        """A tensor after the other."""
        online = dict(self.model.named_parameters())
        for name, theirs in self.model.target.named_parameters():
            theirs.data = theirs.data * momentum + online[name].data * (1 - momentum)

    @torch.no_grad()
    def optimize(self) -> None:
        """A tensor after the other; its norms are waited for."""
        for p in self.model.parameters():
            if p.grad is None:
                continue
            grad = p.grad
            if p.ndim > 1:
                grad = grad.add(p, alpha=self.weight_decay)
                weight_norm, grad_norm = p.norm(), grad.norm()
                if weight_norm > 0 and grad_norm > 0:
                    grad = grad.mul(self.trust * weight_norm / (grad_norm + self.eps))
            if p in self.velocity:
                self.velocity[p].mul_(self.momentum).add_(grad)
            else:
                self.velocity[p] = grad.clone()
            p.add_(self.velocity[p], alpha=-self.lr)
