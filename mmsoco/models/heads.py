"""The predictor and the loss."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from mmsoco.models.matching import Candidates
from mmsoco.models.necks import BYOLNeck
from mmsoco.registry import MODELS


@MODELS.register_module()
class BYOLHead(BYOLNeck):
    """The predictor, an MLP like the projector, and the loss on what it predicts."""

    def loss(
        self,
        prediction: Tensor,
        target: Tensor,
        candidates: Candidates | None = None,
        boxes: Tensor | None = None,
    ) -> Tensor:
        """-2 cos(prediction, target), averaged over the rows (paper, equations 5 and 6).

        With K boxes an image this is the mean over each image's boxes and then
        over the batch.

        Args:
            prediction: (B * K, C), of the online network.
            target: (B * K, C), of the target network; gets no gradient.
            candidates, boxes: For losses that compare with other boxes; not used here.

        Returns:
            A scalar in [-2, 2], in float32.
        """
        with torch.autocast(prediction.device.type, enabled=False):
            return -2 * cosine_similarity(prediction.float(), target.detach().float(), dim=-1).mean()

    def remember(self, candidates: Iterable[Candidates]) -> None:
        """Told of each step's targets, after its losses; this loss needs none of the past."""
