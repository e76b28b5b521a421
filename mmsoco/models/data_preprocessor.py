"""From the loader's uint8 views to what the backbone takes."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor

from mmsoco.errors import UserError
from mmsoco.models.photometry import augment
from mmsoco.registry import MODELS

_MEASURE = 'measure them by mmsoco statistics PROPOSALS.arrow, whose lines go into the config'


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
    """Move a batch to the device; there augment its views as the loader has drawn it, and normalise them.

    Args:
        mean, std: Of the channels, on the scale 0 to 255. The defaults are
            ImageNet's of RGB, as in mmdet's configs: the detector must be given the
            same. ``data_pipelines/channel_statistics.py`` measures those of others.
        channels_last: Whether views leave in channels_last memory format,
            which convolutions prefer. The loader's arrays have that order
            already, so it is the cheap one, too.

    Raises:
        UserError: ``mean`` and ``std`` are none, or, of a batch, of other channels.

    The batch holds ``inputs``, view name -> (B, H, W, C) uint8; ``augment``, where the loader
    leaves changes of pixels to the device, see
    :class:`~mmsoco.datasets.transforms.MultiViewProposalPipeline`; everything else is moved unchanged.
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
        """Returns the batch with ``inputs`` as (B, C, H, W) float32, and without ``augment``."""
        data = self.cast_data(data)
        views = {name: self._normalise(view) for name, view in self._augmented(data).items()}
        return {**{key: part for key, part in data.items() if key != 'augment'}, 'inputs': views}

    def seen(self, data: dict) -> dict[str, torch.Tensor]:
        """The views of a batch as the network sees them, but not normalised: name -> (B, H, W, C) uint8."""
        views = self._augmented(self.cast_data(data))
        return {name: view.permute(0, 2, 3, 1).to(torch.uint8) for name, view in views.items()}

    def _augmented(self, data: dict) -> dict[str, torch.Tensor]:
        """View name -> (B, C, H, W), float32 where something was left to the device, else uint8."""
        drawn = data.get('augment', {})
        views = {name: view.permute(0, 3, 1, 2) for name, view in data['inputs'].items()}
        return {name: augment(view, drawn[name]) if name in drawn else view for name, view in views.items()}

    def _normalise(self, view: torch.Tensor) -> torch.Tensor:
        # Not by broadcasting, which would make three channels of one.
        require_statistics(view.shape[1], self.mean)
        normalised = torch.empty_like(view, dtype=torch.float32, memory_format=self.memory_format)
        return torch.sub(view, self.mean, out=normalised).div_(self.std)
