"""torch.compile for parts of a model."""

from collections.abc import Sequence

import torch
import torch._dynamo
from mmengine.hooks import Hook
from torch import nn

from mmsoco.engine.model import bare_model
from mmsoco.errors import UserError
from mmsoco.registry import HOOKS

#: Of one piece of code, for all blocks, sizes of views, and with and without gradients: of R50, 16 x 2 x 2.
GRAPHS = 256


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile parts of a pretraining's online and target networks, for views of fixed sizes.

    Parts are compiled in place: tensors keep their names. mmengine's ``compile`` takes the
    whole step instead, with its hooks of DDP and its logging. Synchronised BN divides
    graphs: with several processes there are more and smaller ones, and less is gained.

    Args:
        parts: Names of modules, as the model has them and its ``target``.
        backend: Of torch.compile.
    """

    def __init__(self, parts: Sequence[str] = ('backbone', 'neck', 'roi_head'), backend: str = 'inductor'):
        self.parts = (parts,) if isinstance(parts, str) else tuple(parts)
        self.backend = backend

    def before_train(self, runner) -> None:
        # torch's 8 are too few where blocks of the same class differ, and with SyncBN between their graphs: what
        # comes later would run as it is. (By this name in all versions.)
        dynamo = torch._dynamo.config
        dynamo.cache_size_limit = max(dynamo.cache_size_limit, GRAPHS)
        dynamo.accumulated_cache_size_limit = max(dynamo.accumulated_cache_size_limit, 8 * GRAPHS)
        compiled = compile_parts(bare_model(runner), self.parts, self.backend)
        runner.logger.info(f'To be compiled by {self.backend} in the first steps: {", ".join(compiled)}')


def compile_parts(model: nn.Module, parts: Sequence[str], backend: str) -> list[str]:
    """Compile those parts that a model and its target have.

    Returns:
        Their names.

    Raises:
        UserError: It has none of them.
    """
    networks = [network for network in (model, getattr(model, 'target', None)) if network is not None]
    there = [part for part in parts if hasattr(model, part)]
    if not there:
        raise UserError(f'the model has no part {", ".join(parts)} to compile; give its own as parts of CompileHook')
    for network in networks:
        for part in there:
            if hasattr(network, part):
                getattr(network, part).compile(backend=backend, dynamic=False)
    return there
