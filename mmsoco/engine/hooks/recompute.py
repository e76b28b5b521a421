"""Less memory for activations."""

from collections.abc import Sequence

from mmengine.hooks import Hook

from mmsoco.engine.model import bare_model
from mmsoco.models.recomputing import recompute
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class RecomputeHook(Hook):
    """Compute activations of some parts again in the backward pass, instead of keeping them.

    The results are those without, bit by bit, see :func:`~mmsoco.models.recomputing.recompute`.
    It serves pretraining and fine-tuning. ``tools/benchmarks/memory.py`` says what it saves.

    Args:
        parts: Names of modules of the model, such as ``backbone`` or ``backbone.layer1``.
    """

    def __init__(self, parts: Sequence[str] = ('backbone',)):
        self.parts = (parts,) if isinstance(parts, str) else tuple(parts)

    def before_train(self, runner) -> None:
        recompute(bare_model(runner), self.parts)
        runner.logger.info(f'Recomputed in the backward pass: {", ".join(self.parts)}')
