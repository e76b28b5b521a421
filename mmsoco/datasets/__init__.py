from mmsoco.datasets.proposal_dataset import ProposalDataset, TooManyBadPictures
from mmsoco.datasets.samplers import EpochSampler
from mmsoco.datasets.workers import one_thread

__all__ = ['EpochSampler', 'ProposalDataset', 'TooManyBadPictures', 'one_thread']
