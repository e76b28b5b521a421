"""SoCo with a loss of the whole image beside that of its objects."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmsoco.models.soco import ByView, Matches, SoCoAlgorithm
from mmsoco.registry import MODELS

#: The view itself, beside the names of its sets of boxes.
WHOLE = 'whole view'


@MODELS.register_module()
class JointSoCo(SoCoAlgorithm):
    """Object-level and image-level BYOL together, which the paper leaves for the future (appendix B).

    The whole view is one more instance: the backbone's last map, averaged, through a
    projector and a predictor of its own. So the backbone's last stage learns from the
    image, too, and not by way of the FPN alone. Both parts stay behind at the transfer.

    Args:
        image_projector: Config of a :class:`BYOLNeck`, of the backbone's last width.
        image_predictor: Config of a :class:`BYOLHead` itself: a contrastive one asks for boxes.
        image_weight: Of the image's loss, beside 1 for the objects'.
        **kwargs: Of :class:`SoCoAlgorithm`.
    """

    FOLLOWED_PARTS = (*SoCoAlgorithm.FOLLOWED_PARTS, 'image_projector')

    def __init__(self, image_projector: dict, image_predictor: dict, image_weight: float = 1.0, **kwargs):
        super().__init__(image_projector=image_projector, image_predictor=image_predictor, **kwargs)
        self.image_weight = image_weight

    def project(self, network: nn.Module, maps: Sequence[Tensor], *others) -> dict[str, Tensor]:
        """As :meth:`~mmsoco.models.SoCoAlgorithm.project`, and the view's own (B, C) as ``WHOLE``."""
        whole = network.image_projector(maps[-1].mean(dim=(2, 3)))
        return {**super().project(network, maps, *others), WHOLE: whole}

    def compare(
        self, online: ByView, target: ByView, boxes: ByView, matches: Matches, images: Tensor
    ) -> dict[str, Tensor]:
        """As :meth:`~mmsoco.models.SoCoAlgorithm.compare`, and ``loss_image_A_B`` for each pair, weighted."""
        losses = super().compare(online, target, boxes, matches, images)
        predictions = {name: self.image_predictor(instances[WHOLE]) for name, instances in online.items()}
        for _, (a, b) in self.compared(matches):
            directions = [
                self.image_predictor.loss(predictions[mine], target[other][WHOLE]) for mine, other in ((a, b), (b, a))
            ]
            losses[f'loss_image_{a}_{b}'] = self.image_weight * sum(directions)
        return losses
