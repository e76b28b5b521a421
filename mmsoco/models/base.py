"""What every pretraining of a detector's parts has, whatever its loss."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from mmsoco.errors import UserError
from mmsoco.models.momentum import TargetNetwork
from mmsoco.registry import MODELS


class MomentumPretraining(BaseModel):
    """Parts of a detector that learn from a slowly moving copy of themselves.

    This is all that training loop, hooks, checkpoints and probe ask of a
    method. A new one is a subclass that names its parts and has a :meth:`loss`; it
    is registered, and a config gives it by ``model.type``.

    The target network is moved by
    :class:`~mmsoco.engine.hooks.TargetUpdateHook`, not in the forward, because
    only the training loop knows where an optimizer step begins.

    Args:
        parts: Name -> config of each part, in the order in which they are built; None
            for one that this model does without.
        data_preprocessor: Config of a :class:`SoCoDataPreprocessor`, the default.
        frozen: Parts that stay as they are loaded: no gradient, no place in the optimizer, and fixed statistics of BN,
            in both networks.

    Attributes:
        loaded: Names of the parameters that a warm start fills; what builds the optimizer may ask.

    Raises:
        UserError: There is no such part to freeze, or nothing that a detector takes would be left to train.
    """

    #: Parts that a detector takes, under the names that they have there. What else the model holds
    #: stays behind at the transfer; its names must be such that no detector has.
    DETECTOR_PARTS = ('backbone', 'neck', 'roi_head')
    #: Parts that the target network follows: all that makes an embedding.
    FOLLOWED_PARTS = (*DETECTOR_PARTS, 'projector')
    #: Parts that make an embedding of what a detector has, see :meth:`embed_boxes`.
    EMBEDDING_PARTS: tuple[str, ...] = ()

    def __init__(
        self,
        parts: Mapping[str, dict | None],
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        frozen: Sequence[str] = (),
    ):
        super().__init__(data_preprocessor or dict(type='mmsoco.SoCoDataPreprocessor'), init_cfg)
        for name, part in parts.items():
            if part is not None:
                setattr(self, name, MODELS.build(part))
        self.target = TargetNetwork(self.followed)
        # Weights laid out as the views are; convolutions need not reorder them.
        self.to(memory_format=self.data_preprocessor.memory_format)
        self.loaded: Collection[str] = ()
        self.frozen = (frozen,) if isinstance(frozen, str) else tuple(frozen)
        self._freeze([name for name, part in parts.items() if part is not None])

    def _freeze(self, parts: Sequence[str]) -> None:
        if unknown := [name for name in self.frozen if name not in parts]:
            raise UserError(f'there is no {unknown[0]} to freeze; the parts are {", ".join(parts)}')
        trained = [name for name in self.DETECTOR_PARTS if name in parts and name not in self.frozen]
        if not trained:
            raise UserError(f'frozen is all that a detector takes, {", ".join(self.frozen)}; leave a part to train')
        for name in self.frozen:
            getattr(self, name).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> 'MomentumPretraining':
        """As any module's; but frozen parts stay in evaluation, by which their statistics do."""
        super().train(mode)
        for network in (self, self.target):
            for name in self.frozen:
                if hasattr(network, name):  # the target has no predictor
                    getattr(network, name).eval()
        return self

    @property
    def followed(self) -> dict[str, nn.Module]:
        """The modules that the target network follows."""
        return {name: getattr(self, name) for name in self.FOLLOWED_PARTS if hasattr(self, name)}

    def init_weights(self) -> None:
        """Initialise the online network and make the target its copy."""
        super().init_weights()
        self.reset_target()

    def reset_target(self) -> None:
        """Make the target network equal to the online one."""
        self.target.copy_from(self.followed)

    def update_target(self, momentum: float) -> None:
        """Move the target network towards the online one."""
        self.target.update(self.followed, momentum)

    def forward(self, inputs: dict[str, Tensor], mode: str = 'loss', **others) -> Any:
        """Compute the losses, or the embeddings.

        Args:
            inputs: View name -> (B, C, H, W) float32.
            mode: 'loss', or 'tensor' for what :meth:`embed` gives of the online network.
            **others: What else the data set's samples hold.
        """
        if mode == 'loss':
            return self.loss(inputs, **others)
        if mode == 'tensor':
            return self.embed(self, inputs, **others)
        raise ValueError(f"mode '{mode}' is unknown: a pretraining has 'loss' and 'tensor'")

    def loss(self, inputs: dict[str, Tensor], **others) -> dict[str, Tensor]:
        """Losses and figures for the log, by name; what has ``loss`` in its name is summed and minimised."""
        raise NotImplementedError

    def embed(self, network: nn.Module, inputs: dict[str, Tensor], **others) -> Any:
        """What ``network``, the online or the target one, makes of a batch."""
        raise NotImplementedError

    def embed_boxes(
        self, feats: tuple[Tensor, ...], boxes: Tensor, view_size: tuple[int, int], predict: bool
    ) -> Tensor:
        """The online network's embedding of boxes, for the probe; of a method that has :attr:`EMBEDDING_PARTS`.

        Args:
            feats: The neck's maps of a view.
            boxes: (B, K, 4) xyxy in view pixels.
            view_size: Height and width of the view.
            predict: Whether it is to be what is predicted, or what is predicted of the other view.

        Returns:
            (N, C), a row or more a box, image by image.
        """
        raise NotImplementedError

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the online network: (B, C, H, W) to one (B, C_l, H_l, W_l) a level."""
        return self.feature_maps(self, inputs)[1]

    @staticmethod
    def feature_maps(network: nn.Module, view: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The backbone's maps of a view, and the neck's; without a neck the same."""
        maps = network.backbone(view)
        return maps, network.neck(maps) if hasattr(network, 'neck') else maps

    @property
    def embedding_width(self) -> int:
        """C of the embeddings; a spread set of them has a deviation of 1 / sqrt(C) in each coordinate."""
        return self.projector.out_channels

    def level_shares(self, boxes: Any) -> dict[str, list[float]]:
        """View name -> the share of a batch's boxes on each level of the pyramid; empty where that means nothing."""
        return {}

    def describe(self) -> dict:
        """What a detector must know of this pretraining, in plain values; goes into checkpoints.

        Returns:
            ``method``, the class' name; ``parts``, those that a detector takes; and
            what the data preprocessor says of the images, ``mean``, ``std`` and
            ``channels``.
        """
        parts = [name for name in self.DETECTOR_PARTS if hasattr(self, name)]
        return {'method': type(self).__name__, 'parts': parts, **self.data_preprocessor.describe()}
