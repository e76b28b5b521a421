"""What each stage of a network makes of boxes and images: backbone, neck, head, embedding."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsoco.errors import UserError
from mmsoco.models.roi_extractors import RoIExtractor, ScaleAwareRoIExtractor

#: From the first to the last; a detector has no embedding, a bare backbone only itself.
STAGES = ('backbone', 'neck', 'head', 'embedding')
#: Largest sqrt(wh) of a box on a level of this stride, in pixels of a 224 px view (paper, section 3.3).
_LARGEST = {4: 48, 8: 96, 16: 192}


def level_extractor(feats: Sequence[Tensor], size: int, output_size: int = 7) -> ScaleAwareRoIExtractor:
    """An extractor for a detector's pyramid, with the paper's assignment scaled to the view.

    Args:
        feats: Its maps, P2 or P3 first; those above P5 are not used.
        size: Side of the view, in pixels.
    """
    strides = [round(size / feat.shape[-1]) for feat in feats]
    bounds = [_LARGEST[stride] * size / 224 for stride in strides[:-1] if stride in _LARGEST]
    return ScaleAwareRoIExtractor(bounds, output_size)


class BoxFeatures:
    """Features of boxes at each stage of a pretraining or of a detector of mmdet.

    Boxes are pooled by RoIAlign: on the backbone's last map, on the levels of the
    neck, and through the shared part of the box head. A pretraining may also have
    an embedding: of the first view what it predicts, of the second what is to be
    predicted.

    Args:
        model: A :class:`~mmsoco.models.MomentumPretraining` or a detector; its online
            network, in eval mode, is used.
        parts: Which of backbone, neck and head hold weights that are worth a look.
        device: Where it computes.
    """

    def __init__(self, model: nn.Module, parts: Sequence[str] = STAGES, device: str | torch.device = 'cpu'):
        self.model = model.to(device).eval()
        self.device = device
        head = getattr(model, 'roi_head', None)
        self.shared_head = getattr(head, 'shared_head', None)
        box_head = getattr(head, 'bbox_head', None)
        # Of a cascade, the first stage.
        self.box_head = box_head[0] if isinstance(box_head, nn.ModuleList) else box_head
        has_head = self.shared_head is not None or hasattr(self.box_head, 'shared_fcs')
        there = {
            'backbone': True,
            'neck': getattr(model, 'neck', None) is not None,
            'head': has_head,
            'embedding': bool(getattr(model, 'EMBEDDING_PARTS', ())),
        }
        self.stages = [stage for stage in STAGES if there[stage] and stage in parts]

    @torch.no_grad()
    def of_boxes(self, view: Tensor, boxes: Tensor, predict: bool = False) -> dict[str, Tensor]:
        """Features of the K boxes of each image.

        Args:
            view: (B, size, size, C) uint8, of three channels RGB.
            boxes: (B, K, 4) xyxy in view pixels.
            predict: Whether the embedding is what is predicted.

        Returns:
            Stage -> (B * K, D) float32, image by image, on the CPU.
        """
        feats, pyramid = self._maps(view)
        boxes, size = boxes.to(self.device), tuple(view.shape[1:3])
        features = {'backbone': RoIExtractor(7).pool(feats[-1], boxes, size).mean(dim=(2, 3))}
        if 'neck' in self.stages or 'head' in self.stages:
            pooled = self._pool(pyramid, boxes, size)
            if 'neck' in self.stages:
                features['neck'] = pooled.mean(dim=(2, 3))
            if 'head' in self.stages:
                features['head'] = self._shared(pooled)
        if 'embedding' in self.stages:
            features['embedding'] = self.model.embed_boxes(pyramid, boxes, size, predict)
        rows = len(boxes) * boxes.shape[1]
        # An extractor that pools every box on every level gives a row a level; their mean stands for the box.
        return {stage: features[stage].float().unflatten(0, (rows, -1)).mean(dim=1).cpu() for stage in self.stages}

    @torch.no_grad()
    def of_images(self, view: Tensor) -> Tensor:
        """(B, size, size, C) uint8 to (B, D): the backbone's last map, averaged."""
        return self._maps(view)[0][-1].mean(dim=(2, 3)).float().cpu()

    @torch.no_grad()
    def calibrate(self, views: Iterable[Tensor], boxes: Iterable[Tensor]) -> None:
        """Give all BN layers the statistics of these views; for random weights, which have none."""
        norms = [m for m in self.model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # an average over all that is seen
            norm.train()
        for view, view_boxes in zip(views, boxes, strict=True):
            self.of_boxes(view, view_boxes, predict=True)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

    def _maps(self, view: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The backbone's maps and the neck's."""
        preprocessor = self.model.data_preprocessor
        pixels = view.to(self.device).permute(0, 3, 1, 2).float()
        channels = pixels.shape[1]
        # Some, such as YOLOX, see images as they are.
        mean = getattr(preprocessor, 'mean', torch.zeros(channels, 1, 1, device=self.device))
        std = getattr(preprocessor, 'std', torch.ones(channels, 1, 1, device=self.device))
        if mean.numel() != channels:
            raise UserError(
                f'the images have {channels} channels, the model is for {mean.numel()}; give a proposal file of images '
                'as it was trained on'
            )
        # RGB is what the views are; a model that is shown BGR has its statistics in that order.
        if channels == 3 and not self._sees_rgb(preprocessor):
            pixels = pixels.flip(1)
        pixels = (pixels - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
        feats = self.model.backbone(pixels)
        neck = getattr(self.model, 'neck', None)
        return feats, feats if neck is None else neck(feats)

    @staticmethod
    def _sees_rgb(preprocessor: nn.Module) -> bool:
        # mmdet's and mmpretrain's are given BGR and may convert; the pretraining's is given RGB.
        for name in ('_channel_conversion', 'to_rgb'):
            if hasattr(preprocessor, name):
                return bool(getattr(preprocessor, name))
        return True

    def _pool(self, pyramid: Sequence[Tensor], boxes: Tensor, size: tuple[int, int]) -> Tensor:
        extractor = getattr(getattr(self.model, 'roi_head', None), 'bbox_roi_extractor', None)
        if not isinstance(extractor, RoIExtractor):  # a detector's
            pyramid = [feat for feat in pyramid if round(size[0] / feat.shape[-1]) <= 32]
            extractor = level_extractor(pyramid, size[0], 14 if self.shared_head is not None else 7)
        return extractor(pyramid, boxes, size)

    def _shared(self, pooled: Tensor) -> Tensor:
        if self.shared_head is not None:
            return self.shared_head(pooled).mean(dim=(2, 3))
        if self.box_head is None:  # the paper's ablation without a head
            return pooled.mean(dim=(2, 3))
        for layer in self.box_head.shared_convs:
            pooled = layer(pooled)
        pooled = pooled.mean(dim=(2, 3)) if getattr(self.box_head, 'with_avg_pool', False) else pooled.flatten(1)
        for layer in self.box_head.shared_fcs:
            pooled = layer(pooled).relu()
        return pooled
