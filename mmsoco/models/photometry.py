"""Brightness, contrast, saturation, hue, grey, blur and solarisation of a whole batch, each sample with its own.

The loader draws them, and these do to the batch on the device what
:mod:`mmsoco.datasets.transforms.photometric` does to a view in the loader, by the same
arithmetic: sums of whole numbers that float32 holds exactly, rounded where OpenCV rounds. torchvision's functions
take one factor for a batch and round otherwise; so these are not made of them.

All is without branches on the device's values, so that the host does not wait for it: what a sample
does not have is done to it with numbers that change nothing.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from mmsoco.errors import UserError

#: Numbers of ColorJitter's and ChannelJitter's changes in what they draw.
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
NOTHING = -1
#: Luma of red, green and blue: as OpenCV blends by matrices, in 1024ths, and in its grey images, in 32768ths.
_LUMA = (0.299, 0.587, 0.114)
_GREY = (9798, 19235, 3735)
#: Samples at a time: what is kept between two operations is some times as large as they are, in float32.
CHUNK = 64


def augment(views: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
    """Change a batch of views as it was drawn.

    Args:
        views: (B, C, H, W) uint8, in any memory format.
        drawn: Name of a transform, in the order in which they are applied -> (B, ...), what
            its ``draw`` gave for each sample, on the same device.

    Returns:
        (B, C, H, W) float32, contiguous, whole numbers of 0 to 255.

    Raises:
        UserError: A transform is not one of :data:`OPERATIONS`.
    """
    for name in drawn:
        if name not in OPERATIONS:
            raise UserError(
                f'{name} cannot be done on the device, only {", ".join(OPERATIONS)}; set '
                "photometry='loader' of the view pipeline"
            )
    changed = []
    # Under autocast, sums would be those of half precision.
    with torch.no_grad(), torch.autocast(views.device.type, enabled=False):
        for start in range(0, len(views), CHUNK):
            part = slice(start, start + CHUNK)
            x = views[part].to(torch.float32, memory_format=torch.contiguous_format)
            for name, values in drawn.items():
                x = OPERATIONS[name](x, values[part])
            changed.append(x)
    return torch.cat(changed) if len(changed) > 1 else changed[0]


def color_jitter(x: Tensor, drawn: Tensor) -> Tensor:
    """As :class:`ColorJitter`; ``drawn`` (B, 4, 2): each change's number and factor, in their order."""
    number, factor = drawn.unbind(2)
    # Hue, the dearest, is turned once for all samples, whatever its place: the others' are those before it and after.
    is_hue = number == HUE
    after = is_hue.cumsum(1) > 0
    for place in range(3):  # at most three before, the first ones
        x = _blend_step(x, torch.where(after[:, place], NOTHING, number[:, place]), factor[:, place])
    x = torch.where(_each(is_hue.any(1)), _turn_hue(x, (is_hue * factor).sum(1)), x)
    for place in range(1, 4):  # or after, the last ones
        here = after[:, place] & ~is_hue[:, place]
        x = _blend_step(x, torch.where(here, number[:, place], NOTHING), factor[:, place])
    return x


def channel_jitter(x: Tensor, drawn: Tensor) -> Tensor:
    """As :class:`ChannelJitter`; ``drawn`` (B, 2, 1 + C): each change's number and factors, in their order."""
    for step in drawn.unbind(1):
        number, factor = step[:, :1], torch.where(step[:, :1] == NOTHING, 1, step[:, 1:])
        mean = torch.where(number == CONTRAST, x.mean(dim=(2, 3)).round(), 0)[..., None, None]
        x = ((x - mean) * factor[..., None, None]).add_(mean).round_().clamp_(0, 255)
    return x


def grayscale(x: Tensor, drawn: Tensor) -> Tensor:
    """As :class:`Grayscale`; ``drawn`` (B, 1): 1 for grey, 0 for none."""
    return torch.where(_each(drawn[:, 0] > 0), _grey(x), x)


def gaussian_blur(x: Tensor, drawn: Tensor) -> Tensor:
    """As :class:`GaussianBlur`; ``drawn`` (B, R + 1): weights of pixels 0 to R away."""
    batch, channels = x.shape[:2]
    kernels = torch.cat([drawn.flip(1)[:, :-1], drawn], dim=1).repeat_interleave(channels, dim=0)
    # Each channel of each sample is a group of its own.
    planes = x.reshape(1, batch * channels, *x.shape[2:])
    for dim, shape in ((2, (-1, 1, kernels.shape[1], 1)), (3, (-1, 1, 1, kernels.shape[1]))):
        padded = planes.index_select(dim, _mirrored(planes.shape[dim], drawn.shape[1] - 1, x.device))
        planes = conv2d(padded, kernels.reshape(shape), groups=batch * channels)
    return planes.reshape(x.shape).round_()


def solarize(x: Tensor, drawn: Tensor) -> Tensor:
    """As :class:`Solarize`; ``drawn`` (B, 1): thresholds, above 255 for none."""
    return torch.where(x < _each(drawn[:, 0]), x, 255 - x)


#: Name of a transform -> what does the same to a batch, (B, C, H, W) float32 of whole numbers, with what was drawn.
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    'ColorJitter': color_jitter,
    'ChannelJitter': channel_jitter,
    'Grayscale': grayscale,
    'GaussianBlur': gaussian_blur,
    'Solarize': solarize,
}


def _each(values: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1)."""
    return values[:, None, None, None]


def _grey(x: Tensor) -> Tensor:
    """(B, 3, H, W) to (B, 1, H, W), rounded as OpenCV does."""
    red, green, blue = (x[:, i : i + 1] * weight for i, weight in enumerate(_GREY))
    return red.add_(green).add_(blue).add_(16384).div_(32768).floor_()


def _blend_step(x: Tensor, number: Tensor, factor: Tensor) -> Tensor:
    """Brightness, contrast or saturation of each sample, or nothing, by a matrix in 1024ths as OpenCV's.

    Args:
        x: (B, 3, H, W).
        number, factor: (B,).
    """
    factor = torch.where(number == NOTHING, 1, (factor * 1024).round_().div_(1024))
    mean = _grey(x).mean(dim=(1, 2, 3)).round()
    offset = torch.where(number == CONTRAST, mean * (1 - factor), 0)
    # Of blends by a matrix, OpenCV rounds halves up; of others to even numbers.
    offset = torch.where(number == SATURATION, 1 / 2048, offset)[:, None, None]
    grey = torch.where(number == SATURATION, 1 - factor, 0)
    matrix = torch.stack([grey * weight for weight in _LUMA], dim=1)[:, None] + torch.diag_embed(
        factor[:, None].expand(-1, 3)
    )
    matrix = matrix.mul_(1024).round_().div_(1024)
    return torch.baddbmm(offset, matrix, x.flatten(2)).reshape(x.shape).round_().clamp_(0, 255)


def _turn_hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of (B, 3, H, W) by (B,) of a full turn, through the 8 bits of OpenCV's HSV_FULL."""
    red, green, blue = x.unbind(1)
    value = x.amax(1)
    chroma = value - x.amin(1)
    sector = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
    )
    # Divisions by way of rounded reciprocals, in 4096ths; the products stay below 2**24.
    hue = (sector * ((256 << 12) / 6 / chroma.clamp(min=1)).round_()).add_(2048).div_(4096).floor_()
    saturation = (chroma * ((255 << 12) / value.clamp(min=1)).round_()).add_(2048).div_(4096).floor_()
    hue = (hue + (shift * 256).round()[:, None, None]).remainder_(256)
    # Back, OpenCV takes 255 for a full turn.
    sixth, depth = hue * (6 / 255), saturation * (1 / 255) * value
    turned = []
    for start in (5, 3, 1):
        k = sixth + start
        k = torch.where(k >= 6, k - 6, k)
        turned.append((value - depth * torch.minimum(k, 4 - k).clamp_(0, 1)).round_())
    return torch.stack(turned, dim=1)


def _mirrored(size: int, radius: int, device: torch.device) -> Tensor:
    """Which of ``size`` pixels stand at -radius to size + radius: mirrored, the first and the last not repeated."""
    period = max(2 * (size - 1), 1)
    i = torch.arange(-radius, size + radius, device=device).remainder_(period)
    return torch.minimum(i, period - i)
