"""A small data set with the length of a large one."""

from mmengine.dataset import RepeatDataset

from mmsoco.registry import DATASETS


@DATASETS.register_module()
class RepeatedTo(RepeatDataset):
    """A data set over and over up to a number of samples, so that an epoch of it has as many steps.

    mmengine's repeats whole times alone.

    Args:
        dataset: The data set, or its config.
        length: Samples.
    """

    def __init__(self, dataset, length: int, lazy_init: bool = False):
        self.length = length
        super().__init__(dataset, times=1, lazy_init=lazy_init)

    def __len__(self) -> int:
        return self.length

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of a sample, which mmdet's ClassAwareSampler asks for."""
        return self.dataset.get_cat_ids(self._get_ori_dataset_idx(idx))

    @property
    def pipeline(self):
        """That of the data set, which a hook may replace on the way."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline) -> None:
        self.dataset.pipeline = pipeline
