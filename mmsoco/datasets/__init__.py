from mmsoco.datasets.batches import one_batch
from mmsoco.datasets.proposal_dataset import ProposalDataset, TooManyBadImages
from mmsoco.datasets.repeated import RepeatedTo
from mmsoco.datasets.samplers import EpochSampler
from mmsoco.datasets.workers import one_thread

__all__ = ['EpochSampler', 'ProposalDataset', 'RepeatedTo', 'TooManyBadImages', 'one_batch', 'one_thread']
