"""SoCo: Selective Object COntrastive learning."""

from collections.abc import Sequence

import torch
from mmengine.dist import get_rank
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn.functional import normalize

from mmsoco.models.matching import gather_candidates, match_figures
from mmsoco.models.momentum import TargetNetwork
from mmsoco.registry import MODELS


@MODELS.register_module()
class SoCoAlgorithm(BaseModel):
    """Object-level BYOL over a detector's backbone, neck and RoI head (paper, section 3).

    The online network embeds the K boxes of each view and predicts, for each
    pair of views (a, b), the target network's embedding of the same boxes in
    the other view. With l(a, b) = -2 cos(p_a, z_b), the loss is the sum over
    pairs of l(a, b) + l(b, a).

    Each view is its own forward through every module, so BN sees one view at a
    time; the RoI head runs once for each set of a view's boxes. (The released
    code runs it once for each pyramid level, over all boxes.)

    The target network is moved by
    :class:`~mmsoco.engine.hooks.TargetUpdateHook`, not in the forward, because
    only the training loop knows where an optimizer step begins.

    Parameters are named as in mmdet's two-stage detectors: ``backbone``,
    ``neck``, ``roi_head``; those of ``projector``, ``predictor`` and ``target``
    have names that no detector has.

    Args:
        backbone: Config of the backbone.
        roi_head: Config of a :class:`ProposalRoIHead`.
        projector: Config of a :class:`BYOLNeck`.
        predictor: Config of a :class:`BYOLHead`.
        pairs: Names of the views to compare, as given to the view pipeline.
        neck: Config of the FPN; None for C4.
        data_preprocessor: Config of a :class:`SoCoDataPreprocessor`.
    """

    def __init__(
        self,
        backbone: dict,
        roi_head: dict,
        projector: dict,
        predictor: dict,
        pairs: Sequence[tuple[str, str]],
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor or dict(type='mmsoco.SoCoDataPreprocessor'), init_cfg)
        self.backbone = MODELS.build(backbone)
        if neck is not None:
            self.neck = MODELS.build(neck)
        self.roi_head = MODELS.build(roi_head)
        self.projector = MODELS.build(projector)
        self.predictor = MODELS.build(predictor)
        self.target = TargetNetwork(self.followed)
        self.pairs = [tuple(pair) for pair in pairs]
        # Weights laid out as the views are; convolutions need not reorder them.
        self.to(memory_format=self.data_preprocessor.memory_format)

    @property
    def followed(self) -> dict[str, torch.nn.Module]:
        """The modules that the target network follows: all but the predictor."""
        names = ('backbone', 'neck', 'roi_head', 'projector')
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

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

    def forward(
        self,
        inputs: dict[str, Tensor],
        boxes: dict[str, dict[str, Tensor]],
        num_distinct: dict[str, Tensor] | None = None,
        images: Tensor | None = None,
        mode: str = 'loss',
    ) -> dict[str, Tensor]:
        """Compute the losses, or the embeddings.

        Args:
            inputs: View name -> (B, 3, H, W) float32.
            boxes: Draw -> view name -> (B, K, 4) xyxy in view pixels. Pairs of
                views are compared in the draw that holds both.
            num_distinct: Draw -> (B,), how many of its K boxes differ.
            images: (B,) int64, which image of the data set each is.
            mode: 'loss', or 'tensor' for the online embeddings.
        """
        if mode == 'tensor':
            return self._embed(self, inputs, boxes)
        if mode == 'loss':
            return self.loss(inputs, boxes, num_distinct, images)
        raise ValueError(f"mode '{mode}' is unknown: a pretraining has 'loss' and 'tensor'")

    def loss(
        self,
        inputs: dict[str, Tensor],
        boxes: dict[str, dict[str, Tensor]],
        num_distinct: dict[str, Tensor] | None = None,
        images: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss of each pair, and figures for the log.

        Returns:
            ``loss_A_B`` for each pair (A, B), both directions together (BYOL: from
            about 0 down to -4); for each pair what
            :func:`~mmsoco.models.matching.match_figures` says of it;
            ``target_std``, the standard deviation over the batch of the normalised
            target embeddings' coordinates, averaged (1 / sqrt(C) means spread, 0
            collapse; random weights are spread, too); ``distinct_boxes``, the mean
            number of different proposals in a draw.
        """
        online = {key: self.predictor(z) for key, z in self._embed(self, inputs, boxes).items()}
        with torch.no_grad():
            target = self._embed(self.target, inputs, boxes)

        if images is None:
            batch = len(next(iter(inputs.values())))
            images = torch.arange(batch, device=next(iter(target.values())).device) + get_rank() * batch
        draws = {pair: self._draw_of(pair, boxes) for pair in self.pairs}
        num_proposals = next(iter(next(iter(boxes.values())).values())).shape[1]
        candidates = gather_candidates(target, images, num_proposals, num_distinct)

        losses, compared = {}, {}
        for (a, b), draw in draws.items():
            directions = []
            for mine, other in ((a, b), (b, a)):
                key = draw, other
                loss = self.predictor.criterion(target[key], candidates[key], boxes[draw][other])
                directions.append((online[draw, mine], candidates[key], loss))
            losses[f'loss_{a}_{b}'] = sum(loss(prediction) for prediction, _, loss in directions)
            compared[f'{a}_{b}'] = directions
        losses |= match_figures(compared)
        if self.training:
            self.predictor.remember(candidates.values())
        losses['target_std'] = torch.stack(
            [normalize(z.float(), dim=-1).std(dim=0, correction=0).mean() for z in target.values()]
        ).mean()
        if num_distinct is not None:
            losses['distinct_boxes'] = torch.stack([n.float().mean() for n in num_distinct.values()]).mean()
        return losses

    @staticmethod
    def _draw_of(pair: tuple[str, str], boxes: dict[str, dict[str, Tensor]]) -> str:
        draw = next((draw for draw, views in boxes.items() if set(pair) <= set(views)), None)
        if draw is None:
            raise ValueError(f'no boxes match across the pair {pair}; give the view pipeline the same pairs')
        return draw

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the online network: (B, 3, H, W) to one (B, C, H_l, W_l) a level."""
        return self._extract(self, inputs)

    @staticmethod
    def _extract(network: torch.nn.Module, view: Tensor) -> tuple[Tensor, ...]:
        feats = network.backbone(view)
        return network.neck(feats) if hasattr(network, 'neck') else feats

    @classmethod
    def _embed(
        cls, network: torch.nn.Module, inputs: dict[str, Tensor], boxes: dict[str, dict[str, Tensor]]
    ) -> dict[tuple[str, str], Tensor]:
        """Projections (B * K, C) of every set of boxes, by (draw, view name)."""
        embeddings = {}
        for name, view in inputs.items():
            feats = cls._extract(network, view)
            for draw, views in boxes.items():
                if name in views:
                    features = network.roi_head(feats, views[name], view.shape[-2:])
                    embeddings[draw, name] = network.projector(features)
        return embeddings
