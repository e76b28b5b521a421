from mmsoco.datasets.transforms.boxes import BoxCutout, BoxJitter, HorizontalFlip, Thin
from mmsoco.datasets.transforms.formatting import LoadImage, PackViews
from mmsoco.datasets.transforms.loading import LoadImageFromFile
from mmsoco.datasets.transforms.photometric import ChannelJitter, ColorJitter, GaussianBlur, Grayscale, Solarize
from mmsoco.datasets.transforms.views import MultiViewProposalPipeline

__all__ = [
    'BoxCutout',
    'BoxJitter',
    'ChannelJitter',
    'ColorJitter',
    'GaussianBlur',
    'Grayscale',
    'HorizontalFlip',
    'LoadImage',
    'LoadImageFromFile',
    'MultiViewProposalPipeline',
    'PackViews',
    'Solarize',
    'Thin',
]
