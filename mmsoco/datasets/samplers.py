"""Which images each process sees, in which order."""

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from mmsoco.errors import UserError
from mmsoco.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """An endless stream of (epoch, index) that is the same however the batch is divided.

    An epoch is a permutation of the data set made from (seed, epoch), cut into
    floor(N / total batch) batches; what is left over waits for another epoch.
    Each batch is cut into equal parts, one for each process and accumulated
    micro-batch, so that an optimizer step sees the same images on 1, 8 or 16
    processes. The stream does not end, hence the loader's workers never restart.

    Args:
        dataset: Only its length is used.
        batch_size: Images a process takes at a time.
        accumulate: Micro-batches a process takes for an optimizer step.
        seed: Seed of the permutations.

    Raises:
        UserError: The data set holds less than one total batch.
    """

    def __init__(self, dataset: Sized, batch_size: int, accumulate: int = 1, seed: int | None = None):
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.seed = 0 if seed is None else seed
        self.total_batch_size = batch_size * accumulate * self.world_size
        #: Optimizer steps an epoch.
        self.steps_per_epoch = self.size // self.total_batch_size
        self.start_step = 0
        if self.steps_per_epoch == 0:
            raise UserError(
                f'{self.size} images are less than one batch of {self.total_batch_size}; '
                'use more images or set a smaller total_batch_size'
            )

    def __len__(self) -> int:
        """Samples of this process in an epoch."""
        return self.steps_per_epoch * self.accumulate * self.batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield from optimizer step ``start_step`` on."""
        epoch, first = divmod(self.start_step, self.steps_per_epoch)
        while True:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
            used = order[: self.steps_per_epoch * self.total_batch_size]
            parts = used.reshape(self.steps_per_epoch, self.accumulate, self.world_size, self.batch_size)
            for index in parts[first:, :, self.rank].reshape(-1):
                yield epoch, int(index)
            epoch, first = epoch + 1, 0
