"""Brightness, contrast, saturation, hue, grey, blur and solarisation of a whole batch, each sample with its own.

The loader draws them, and these do to the batch on the device what
:mod:`mmsoco.datasets.transforms.photometric` does to a view in the loader, by the same
arithmetic: sums of whole numbers that float32 holds exactly, rounded where OpenCV rounds. They are made element by
element, since matrix products may be computed in TF32, of 10 bits. torchvision's functions take one factor for a batch
and round otherwise; so these are not made of them.

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
    # Hue, the dearest, is turned once for all samples, whatever its place: the others' are those before it and after,
    # at most the first three or the last three.
    is_hue = number == HUE
    after = is_hue.cumsum(1) > 0
    before = _Blends(torch.where(after, NOTHING, number)[:, :3], factor[:, :3])
    behind = _Blends(torch.where(after & ~is_hue, number, NOTHING)[:, 1:], factor[:, 1:])
    x = before(x)
    x = torch.where(_each(is_hue.any(1)), _turn_hue(x, (is_hue * factor).sum(1)), x)
    return behind(x)


def channel_jitter(x: Tensor, drawn: Tensor) -> Tensor:
    """As :class:`ChannelJitter`; ``drawn`` (B, 2, 1 + C): each change's number and factors, in their order."""
    for step in drawn.unbind(1):
        number, factor = step[:, :1], torch.where(step[:, :1] == NOTHING, 1, step[:, 1:])
        mean = torch.where(number == CONTRAST, _mean(x, (2, 3)), 0)[..., None, None]
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
        # Of as many groups as channels torch has a kernel of its own for CUDA, in float32 whatever is allowed.
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
    red, green, blue = x.split(1, dim=1)
    of_red, of_green, of_blue = (weight / 32768 for weight in _GREY)
    return red.mul(of_red).add_(green, alpha=of_green).add_(blue, alpha=of_blue).add_(0.5).floor_()


def _mean(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Rounded means; sums over views of more than 256 x 256 px have more than float32's 24 bits."""
    return x.mean(dim=dims, dtype=torch.float64).round_().to(x.dtype)


class _Blends:
    """Brightness, contrast or saturation of each sample, or nothing, some times; by matrices in 1024ths as OpenCV's.

    Args:
        number, factor: (B, N).
    """

    def __init__(self, number: Tensor, factor: Tensor):
        factor = torch.where(number == NOTHING, 1, (factor * 1024).round_().div_(1024))
        saturates = number == SATURATION
        # What of the mean grey is added.
        self.of_mean = torch.where(number == CONTRAST, 1 - factor, 0)
        # Of blends by a matrix, OpenCV rounds halves up; of others to even numbers.
        self.offset = saturates / 2048
        grey = torch.where(saturates, 1 - factor, 0)
        luma = torch.stack([grey * weight for weight in _LUMA], dim=2)
        # A row of the matrix is ``luma``, and so is each other one, but for the channel that it makes.
        own = (luma + factor[..., None]).mul_(1024).round_().div_(1024)
        self.luma = luma.mul_(1024).round_().div_(1024)
        self.own = own.sub_(self.luma)[..., None, None]

    def __call__(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) after all N."""
        for i in range(self.offset.shape[1]):
            offset = torch.addcmul(self.offset[:, i], self.of_mean[:, i], _mean(_grey(x), (1, 2, 3)))
            common = _each(offset)
            for channel, weight in zip(x.split(1, dim=1), self.luma[:, i].unbind(1), strict=True):
                common = torch.addcmul(common, channel, _each(weight))
            x = torch.addcmul(common, x, self.own[:, i]).round_().clamp_(0, 255)
        return x


def _turn_hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of (B, 3, H, W) by (B,) of a full turn, through the 8 bits of OpenCV's HSV_FULL."""
    red, green, blue = x.unbind(1)
    value = x.amax(1)
    chroma = value - x.amin(1)
    sector = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4)),
    )
    # Divisions by way of rounded reciprocals, in 4096ths; the products stay below 2**24.
    hue = torch.addcmul(_half(x), sector, _reciprocal((256 << 12) / 6, chroma)).floor_()
    depth = torch.addcmul(_half(x), chroma, _reciprocal(255 << 12, value)).floor_()
    hue.add_((shift * 256).round()[:, None, None]).remainder_(256)
    # Back, OpenCV takes 255 for a full turn.
    sixth, depth = hue.mul_(6 / 255), depth.mul_(1 / 255).mul_(value)
    turned = []
    for start in (5, 3, 1):
        # From 0 up to 1 and down again in the sixths 0 to 4; below and above, 0.
        k = (sixth + start).remainder_(6)
        k = torch.minimum(k, 4 - k).clamp_(0, 1)
        turned.append(torch.addcmul(value, depth, k, value=-1).round_())
    return torch.stack(turned, dim=1)


def _half(x: Tensor) -> Tensor:
    return x.new_full((), 0.5)


def _reciprocal(whole: float, x: Tensor) -> Tensor:
    """``whole`` / x, rounded, in 4096ths."""
    return x.clamp(min=1).reciprocal_().mul_(whole).round_().div_(4096)


def _mirrored(size: int, radius: int, device: torch.device) -> Tensor:
    """Which of ``size`` pixels stand at -radius to size + radius: mirrored, the first and the last not repeated."""
    period = max(2 * (size - 1), 1)
    i = torch.arange(-radius, size + radius, device=device).remainder_(period)
    return torch.minimum(i, period - i)
