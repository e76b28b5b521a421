"""Evaluation images that a pretraining has seen."""

from collections.abc import Callable, Mapping

from mmengine.config import Config

from mmsoco.compare.plan import Comparison


def check_leakage(
    comparison: Comparison,
    cfg: Config,
    say: Callable[[str], None],
    pretrained_on: Mapping[str, str] = {},
    allow: bool = False,
    jobs: int = 1,
) -> dict:
    return {}
