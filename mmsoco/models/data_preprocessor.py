"""From the loader's uint8 views to what the backbone takes."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor

from mmsoco.registry import MODELS


@MODELS.register_module()
class SoCoDataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device and normalise its views there.

    Args:
        mean, std: Of the RGB channels, on the scale 0 to 255. The defaults are
            ImageNet's, as in mmdet's configs: the detector must be given the
            same.
        channels_last: Whether views leave in channels_last memory format,
            which convolutions prefer. The loader's arrays have that order
            already, so it is the cheap one, too.

    The batch holds ``inputs``, view name -> (B, H, W, 3) uint8; everything else
    is moved unchanged.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        channels_last: bool = True,
    ):
        # The loader's memory is pinned: copies need not be waited for.
        super().__init__(non_blocking=True)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)
        # As they were given: the buffers round them to float32.
        self._statistics = {'mean': [float(value) for value in mean], 'std': [float(value) for value in std]}
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def describe(self) -> dict:
        """Mean, standard deviation and order of channels, in plain values; a detector must be given the same."""
        return {**self._statistics, 'channels': 'rgb'}

    def forward(self, data: dict, training: bool = False) -> dict:
        """Returns the batch with ``inputs`` as (B, 3, H, W) float32."""
        data = self.cast_data(data)
        views = {name: self._normalise(view) for name, view in data['inputs'].items()}
        return {**data, 'inputs': views}

    def _normalise(self, view: torch.Tensor) -> torch.Tensor:
        view = view.permute(0, 3, 1, 2).float()
        return ((view - self.mean) / self.std).contiguous(memory_format=self.memory_format)
