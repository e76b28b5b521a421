"""Results of an evaluation from all processes, without files between them."""

from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any

from mmengine.dist import dist

from mmsoco.engine.together import Together

_by_files: Callable = dist.collect_results_cpu


def gather_without_files() -> None:
    """Let metrics, mmdet's and mmpretrain's, too, send what they have collected to the first process.

    mmengine's way is a folder ``.dist_test`` where the command runs, which may not be
    written, and which nodes need not share. All metrics come by its function; one that
    names a folder of its own, ``collect_dir``, keeps it.
    """
    dist.collect_results_cpu = gather_results


def gather_results(results: list, size: int, tmpdir: str | None = None) -> list | None:
    """All processes' results in the order of the data set, as mmengine's function of this purpose gives them.

    Args:
        results: Of this process: every n-th sample's, of n processes.
        size: Of the data set; what a sampler has added to make processes equal is left out.
        tmpdir: A folder to send them by instead.

    Returns:
        In the first process the results, None in the others.
    """
    if tmpdir is not None:
        return _by_files(results, size, tmpdir)
    parts: list[list[Any]] | None = Together().gather_large(results)
    if parts is None:
        return None
    return [result for result in chain.from_iterable(zip_longest(*parts)) if result is not None][:size]
