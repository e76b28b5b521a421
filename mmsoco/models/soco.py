"""SoCo: Selective Object COntrastive learning."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import get_rank
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmsoco.models.base import MomentumPretraining
from mmsoco.models.matching import gather_candidates, match_figures
from mmsoco.models.roi_extractors import ScaleAwareRoIExtractor
from mmsoco.registry import MODELS

#: View name -> box set -> a tensor with a row a box.
ByView = Mapping[str, Mapping[str, Tensor]]
#: Box set -> (view name, view name) -> (B,) int64, how many of the K matched boxes differ.
Matches = Mapping[str, Mapping[tuple[str, str], Tensor]]


@MODELS.register_module()
class SoCoAlgorithm(MomentumPretraining):
    """Object-level BYOL over a detector's backbone, neck and RoI head (paper, section 3).

    The online network embeds the K boxes of each view and predicts, for each
    pair of views (a, b), the target network's embedding of the same boxes in
    the other view. With l(a, b) = -2 cos(p_a, z_b), the loss is the sum over
    pairs of l(a, b) + l(b, a). Which pairs, the batch says.

    Each view is its own forward through every module, so BN sees one view at a
    time; the RoI head runs once for each set of a view's boxes. (The official
    code runs it once for each pyramid level, over all boxes.)

    Parameters are named as in mmdet's two-stage detectors: ``backbone``,
    ``neck``, ``roi_head``; those of ``projector``, ``predictor`` and ``target``
    have names that no detector has.

    Args:
        backbone: Config of the backbone.
        roi_head: Config of a :class:`ProposalRoIHead`.
        projector: Config of a :class:`BYOLNeck`.
        predictor: Config of a :class:`BYOLHead`.
        pairs: Pairs of views to compare, of those that the batch matches; by default
            all. (Configs of earlier versions name all of them here.)
        neck: Config of the FPN; None for C4.
        data_preprocessor: Config of a :class:`SoCoDataPreprocessor`.
        frozen: Parts that stay as they are loaded, see :class:`MomentumPretraining`.
        **others: Configs of parts that a subclass has besides.
    """

    EMBEDDING_PARTS = ('projector', 'predictor')

    def __init__(
        self,
        backbone: dict,
        roi_head: dict,
        projector: dict,
        predictor: dict,
        pairs: Sequence[tuple[str, str]] | None = None,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        frozen: Sequence[str] = (),
        **others: dict,
    ):
        parts = dict(backbone=backbone, neck=neck, roi_head=roi_head, projector=projector, predictor=predictor)
        super().__init__({**parts, **others}, data_preprocessor, init_cfg, frozen)
        self.pairs = None if pairs is None else [tuple(pair) for pair in pairs]

    def loss(
        self, inputs: dict[str, Tensor], boxes: ByView, matches: Matches, images: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The loss of each pair, and figures for the log.

        Args:
            inputs: View name -> (B, 3, H, W) float32.
            boxes: View name -> box set -> (B, K, 4) xyxy in view pixels.
            matches: Box set -> pair of views -> (B,), how many of its K boxes differ.
            images: (B,) int64, which image of the data set each is.

        Returns:
            See :meth:`compare`.
        """
        online = self.embed(self, inputs, boxes)
        with torch.no_grad():
            target = self.embed(self.target, inputs, boxes)
        if images is None:
            batch = len(next(iter(inputs.values())))
            images = torch.arange(batch, device=next(iter(inputs.values())).device) + get_rank() * batch
        return self.compare(online, target, boxes, matches, images)

    def embed(
        self, network: nn.Module, inputs: dict[str, Tensor], boxes: ByView, **others
    ) -> dict[str, dict[str, Tensor]]:
        """View name -> what :meth:`project` makes of it."""
        return {
            name: self.project(network, *self.feature_maps(network, view), boxes[name], view.shape[-2:])
            for name, view in inputs.items()
        }

    def project(
        self,
        network: nn.Module,
        maps: Sequence[Tensor],
        feats: Sequence[Tensor],
        boxes: Mapping[str, Tensor],
        view_size: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Projections of a view's instances.

        Args:
            network: The online or the target network.
            maps, feats: The backbone's and the neck's maps of the view.
            boxes: Box set -> (B, K, 4) xyxy in view pixels.
            view_size: Height and width of the view.

        Returns:
            Box set -> (N, C), a row or more a box, as the RoI head gives them.
        """
        return {name: network.projector(network.roi_head(feats, rows, view_size)) for name, rows in boxes.items()}

    def embed_boxes(
        self, feats: tuple[Tensor, ...], boxes: Tensor, view_size: tuple[int, int], predict: bool
    ) -> Tensor:
        """See :meth:`~mmsoco.models.MomentumPretraining.embed_boxes`."""
        embedding = self.projector(self.roi_head(feats, boxes, view_size))
        return self.predictor(embedding) if predict else embedding

    def compare(
        self, online: ByView, target: ByView, boxes: ByView, matches: Matches, images: Tensor
    ) -> dict[str, Tensor]:
        """The losses of embeddings of both networks.

        Args:
            online, target: View name -> box set -> (N, C) projections.
            boxes, matches, images: See :meth:`loss`.

        Returns:
            ``loss_A_B`` for each pair (A, B), both directions together (BYOL: from
            about 0 down to -4); for each pair what
            :func:`~mmsoco.models.matching.match_figures` says of it;
            ``target_std``, the standard deviation over the batch of the normalised
            target embeddings' coordinates, averaged (1 / sqrt(C) means spread, 0
            collapse; random weights are spread, too); ``distinct_boxes``, the mean
            number of different proposals in a set.
        """
        keys = [(view, name) for view, sets in boxes.items() for name in sets]
        predictions = {(view, name): self.predictor(online[view][name]) for view, name in keys}
        targets = {(view, name): target[view][name] for view, name in keys}
        distinct = {name: next(iter(pairs.values())) for name, pairs in matches.items()}
        num_proposals = next(rows.shape[1] for sets in boxes.values() for rows in sets.values())
        candidates = gather_candidates(targets, images, num_proposals, distinct)

        losses, compared = {}, {}
        for name, (a, b) in self.compared(matches):
            directions = []
            for mine, other in ((a, b), (b, a)):
                key = other, name
                loss = self.predictor.criterion(targets[key], candidates[key], boxes[other][name])
                directions.append((predictions[mine, name], candidates[key], loss))
            losses[f'loss_{a}_{b}'] = sum(loss(prediction) for prediction, _, loss in directions)
            compared[f'{a}_{b}'] = directions
        losses |= match_figures(compared)
        if self.training:
            self.predictor.remember(candidates.values())
        spread = [normalize(z.float(), dim=-1).std(dim=0, correction=0).mean() for z in targets.values()]
        losses['target_std'] = torch.stack(spread).mean()
        losses['distinct_boxes'] = torch.stack([n.float().mean() for n in distinct.values()]).mean()
        return losses

    def compared(self, matches: Matches) -> list[tuple[str, tuple[str, str]]]:
        """The pairs to compare, each with its set of boxes."""
        there = {pair: name for name, pairs in matches.items() for pair in pairs}
        pairs = list(there) if self.pairs is None else self.pairs
        for pair in pairs:
            if pair not in there:
                raise ValueError(f'no boxes match across the pair {pair}; give the view pipeline the same pairs')
        return [(there[pair], pair) for pair in pairs]

    def level_shares(self, boxes: ByView) -> dict[str, list[float]]:
        """View name -> the share of its boxes on each level, where each box has one."""
        extractor = self.roi_head.bbox_roi_extractor
        if not isinstance(extractor, ScaleAwareRoIExtractor):
            return {}
        shares = {}
        for name, sets in boxes.items():
            levels = torch.cat([extractor.levels(rows).flatten() for rows in sets.values()])
            counts = torch.bincount(levels, minlength=len(extractor.max_sizes) + 1)
            shares[name] = (counts / counts.sum()).tolist()
        return shares
