"""The predictor with a contrastive loss."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torchvision.ops import box_iou

from mmsoco.models.heads import BYOLHead
from mmsoco.models.matching import Candidates
from mmsoco.registry import MODELS


@MODELS.register_module()
class InfoNCEHead(BYOLHead):
    """A prediction must name its own target among those of other boxes (van den Oord et al. 2018).

    BYOL's loss has no negatives, and in the few hundred or thousand steps that a
    small data set allows it stays near predicting the mean of all targets; this one
    does not (docs/recipes.md has the figures). With p and z normalised, the
    loss of a box is the cross-entropy of softmax(p . z_j / temperature) over
    its own target and all negatives j, as in MoCo v3 (Chen et al. 2021) without
    its factor of 2 temperature. The algorithm takes both directions of a pair.

    Negatives are the boxes of other images, and those boxes of the same
    image that hardly overlap; under accumulation, of the micro-batch alone. So
    unlike BYOL's this loss is another one where a batch is accumulated.

    Args:
        temperature: Divides cosines (MoCo v3: 0.2).
        max_overlap: Boxes of the same image are negatives up to this IoU; None for
            never.
        gather: Whether the boxes of all processes are negatives, or each process'
            own; the figures in the log are over all processes either way.
        queue: How many targets of past steps are negatives, too, for small batches
            (He et al. 2020); those of an image that is in the batch are not. It
            counts rows of all processes, and fills in the first steps.
        **kwargs: Of :class:`~mmsoco.models.BYOLNeck`.
    """

    def __init__(
        self,
        *args,
        temperature: float = 0.2,
        max_overlap: float | None = 0.0,
        gather: bool = True,
        queue: int = 0,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if temperature <= 0 or queue < 0:
            raise ValueError(f'temperature must be above 0 and queue not negative, got {temperature} and {queue}')
        self.temperature = temperature
        self.max_overlap = max_overlap
        self.gather = gather
        self.queue = queue
        if queue:
            self.register_buffer('past', torch.zeros(queue, self.fc1.out_features))
            self.register_buffer('past_pictures', torch.full((queue,), -1))

    def criterion(self, target: Tensor, candidates: Candidates, boxes: Tensor) -> Callable[[Tensor], Tensor]:
        """As :meth:`~mmsoco.models.BYOLHead.criterion`; what is compared with is found once, for all calls."""
        pool = candidates if self.gather else candidates.local()
        embeddings, comparable = pool.embeddings, self._comparable(pool, boxes)
        if self.queue:
            # Not torch.isin, which waits for a GPU.
            present = (self.past_pictures[:, None] == candidates.images).any(dim=1)
            known = (self.past_pictures >= 0) & ~present
            embeddings = torch.cat([embeddings, self.past])
            comparable = torch.cat([comparable, known.expand(len(comparable), -1)], dim=1)

        def loss(prediction: Tensor) -> Tensor:
            with torch.autocast(prediction.device.type, enabled=False):
                logits = normalize(prediction.float(), dim=-1) @ embeddings.T / self.temperature
                return cross_entropy(logits.masked_fill(~comparable, -torch.inf), pool.own)

        return loss

    def loss(self, prediction: Tensor, target: Tensor, candidates: Candidates, boxes: Tensor) -> Tensor:
        """Cross-entropy of naming the own target, averaged over the rows.

        Args:
            prediction: (N, C), of the online network.
            target: (N, C), of the target network; gets no gradient.
            candidates: What there is to choose from, the target among it.
            boxes: (B, K, 4) xyxy in pixels of the target's view, to find the overlaps.

        Returns:
            A scalar in float32: 0 for a sure and right choice, the logarithm of the
            number of candidates for none.
        """
        return self.criterion(target, candidates, boxes)(prediction)

    @torch.no_grad()
    def remember(self, candidates: Iterable[Candidates]) -> None:
        """Put a step's targets into the queue."""
        if not self.queue:
            return
        for seen in candidates:
            # Copies, and what is not finite, keep their place, so that shapes are the same in every step, but belong to
            # no image. Zeros for the latter: what is left out of a product's result spoils its gradient all the same.
            finite = seen.embeddings.isfinite().all(dim=1)
            images = torch.where(seen.distinct & finite, seen.images, -1)
            embeddings = torch.where(finite[:, None], seen.embeddings, 0)
            # New tensors: the step's backward still needs the old ones.
            self.past = torch.cat([self.past, embeddings])[-self.queue :]
            self.past_pictures = torch.cat([self.past_pictures, images])[-self.queue :]

    def _comparable(self, pool: Candidates, boxes: Tensor) -> Tensor:
        """(N, M) bool: the own target and the negatives of each row."""
        images, distinct = pool.images[pool.own], pool.distinct[pool.own]
        comparable = (images[:, None] != pool.images) & pool.distinct
        if self.max_overlap is not None:
            batch, num = boxes.shape[:2]
            boxes = boxes.flatten(0, 1).repeat_interleave(len(images) // (batch * num), dim=0)
            apart = (images[:, None] == images) & (box_iou(boxes, boxes) <= self.max_overlap)
            comparable[:, pool.own] |= apart & distinct
        # Not by indices, with which CUDA waits for the True to be copied.
        return comparable.scatter(1, pool.own[:, None], True)
