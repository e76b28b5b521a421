"""From the loader's uint8 views to what the backbone takes."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor

from mmsoco.errors import UserError
from mmsoco.registry import MODELS

_MEASURE = 'measure them by data_pipelines/channel_statistics.py PROPOSALS.arrow, whose lines go into the config'


def check_statistics(mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    """Refuse what is no mean and standard deviation of some channels.

    Raises:
        UserError: They are missing, of different numbers of channels, or a deviation is not above 0.
    """
    if not mean or not std:
        raise UserError(f'mean and std of data_preprocessor are missing; {_MEASURE}')
    if len(mean) != len(std):
        raise UserError(f'data_preprocessor has {len(mean)} values of mean and {len(std)} of std; {_MEASURE}')
    if not all(value > 0 for value in std):
        raise UserError(f'std of data_preprocessor is {list(std)}, which is not above 0; {_MEASURE}')


def require_statistics(channels: int, mean: Sequence[float]) -> None:
    """Refuse images of other channels than there are statistics of.

    Raises:
        UserError: With both numbers.
    """
    if channels != len(mean):
        raise UserError(
            f'the images have {channels} channels, mean and std of data_preprocessor are of {len(mean)}; {_MEASURE}'
        )


@MODELS.register_module()
class SoCoDataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device and normalise its views there.

    Args:
        mean, std: Of the channels, on the scale 0 to 255. The defaults are
            ImageNet's of RGB, as in mmdet's configs: the detector must be given the
            same. ``data_pipelines/channel_statistics.py`` measures those of others.
        channels_last: Whether views leave in channels_last memory format,
            which convolutions prefer. The loader's arrays have that order
            already, so it is the cheap one, too.

    Raises:
        UserError: ``mean`` and ``std`` are none, or, of a batch, of other channels.

    The batch holds ``inputs``, view name -> (B, H, W, C) uint8; everything else
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
        check_statistics(mean, std)
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), persistent=False)
        # As they were given: the buffers round them to float32.
        self._statistics = {'mean': [float(value) for value in mean], 'std': [float(value) for value in std]}
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def describe(self) -> dict:
        """Mean, standard deviation and ``channels`` in plain values; a detector must be given the same.

        ``channels`` is ``'rgb'``, their order, or the number of other ones.
        """
        count = len(self.mean)
        return {**self._statistics, 'channels': 'rgb' if count == 3 else count}

    def cast_data(self, data: Any) -> Any:
        """Move a batch to the device: as one, where it can be; else tensor by tensor."""
        return data.to(self.device, non_blocking=self._non_blocking) if hasattr(data, 'to') else super().cast_data(data)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Returns the batch with ``inputs`` as (B, C, H, W) float32."""
        data = self.cast_data(data)
        views = {name: self._normalise(view) for name, view in data['inputs'].items()}
        return {**data, 'inputs': views}

    def _normalise(self, view: torch.Tensor) -> torch.Tensor:
        # Not by broadcasting, which would make three channels of one.
        require_statistics(view.shape[-1], self.mean)
        view = view.permute(0, 3, 1, 2).float()
        return ((view - self.mean) / self.std).contiguous(memory_format=self.memory_format)
