from mmsoco.datasets.transforms.boxes import BoxJitter, HorizontalFlip
from mmsoco.datasets.transforms.formatting import LoadPicture, PackViews
from mmsoco.datasets.transforms.photometric import ColorJitter, GaussianBlur, Grayscale, Solarize
from mmsoco.datasets.transforms.views import MultiViewProposalPipeline

__all__ = [
    'BoxJitter',
    'ColorJitter',
    'GaussianBlur',
    'Grayscale',
    'HorizontalFlip',
    'LoadPicture',
    'MultiViewProposalPipeline',
    'PackViews',
    'Solarize',
]
