"""The predictor and the loss."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from mmsoco.models.matching import Candidates
from mmsoco.models.necks import BYOLNeck
from mmsoco.registry import MODELS


@MODELS.register_module()
class BYOLHead(BYOLNeck):
    """The predictor, an MLP like the projector, and the loss on what it predicts."""

    def criterion(self, target: Tensor, candidates: Candidates, boxes: Tensor) -> Callable[[Tensor], Tensor]:
        """The loss of a direction of a pair as a function of its predictions.

        Args:
            target: (N, C), of the target network.
            candidates: What there is to choose from, the target among it; for losses
                that compare with other boxes, as this one does not.
            boxes: (B, K, 4) xyxy in pixels of the target's view; likewise.
        """
        return partial(self.loss, target=target)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """-2 cos(prediction, target), averaged over the rows (paper, equations 5 and 6).

        With K boxes an image this is the mean over each image's boxes and then
        over the batch.

        Args:
            prediction: (B * K, C), of the online network.
            target: (B * K, C), of the target network; gets no gradient.

        Returns:
            A scalar in [-2, 2], in float32.
        """
        with torch.autocast(prediction.device.type, enabled=False):
            return -2 * cosine_similarity(prediction.float(), target.detach().float(), dim=-1).mean()

    def remember(self, candidates: Iterable[Candidates]) -> None:
        """Told of each step's targets, after its losses; this loss needs none of the past."""
