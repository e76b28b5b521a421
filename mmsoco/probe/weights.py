"""Putting weights of any origin into a network, as far as they go."""

import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from mmsoco.checkpoints.files import read_checkpoint, read_safetensors
from mmsoco.checkpoints.parts import fill_parts
from mmsoco.checkpoints.unwrapping import unwrap
from mmsoco.errors import UserError
from mmsoco.probe.measure import build


def find_config(checkpoint: str | os.PathLike) -> Path:
    """The config that a run left beside its checkpoints.

    Raises:
        UserError: There is none, or more than one.
    """
    found = sorted(Path(checkpoint).parent.glob('*.py'))
    if len(found) != 1:
        what = 'no config' if not found else f'{len(found)} configs'
        raise UserError(f'{what} beside {checkpoint}; name the one of its model: --config FILE')
    return found[0]


def load_network(
    cfg: Config, checkpoint: str | os.PathLike, trust_checkpoint: bool = False
) -> tuple[nn.Module, list[str], str]:
    """Build a config's model and fill it.

    Args:
        cfg: A pretraining's config or a detector's.
        checkpoint: Of this model; or of another with the same backbone, perhaps
            neck and head, in mmdet's names or, of the backbone alone, in torchvision's.
        trust_checkpoint: Allow code in it.

    Returns:
        The model, the stages whose every weight was loaded, and why not more, or ''.

    Raises:
        UserError: Not even the backbone is in the checkpoint.
    """
    given = _tensors(checkpoint, trust_checkpoint)
    model = build(cfg.model)
    weights, parts, misfit = fill_parts(model.state_dict(), given, getattr(model, 'EMBEDDING_PARTS', ()))
    if not parts and not misfit:
        raise UserError('the model of the config has no backbone by that name; give the config of the detector in it')
    if not parts:
        raise UserError(
            f'{checkpoint} does not hold the backbone of the config: {misfit} in it; give the config of its model'
        )
    model.load_state_dict(weights, strict=False)
    return model, parts, misfit


def _tensors(path: str | os.PathLike, trust: bool) -> Mapping[str, Tensor]:
    safe = Path(path).suffix == '.safetensors'
    unwrapped = unwrap(read_safetensors(path) if safe else read_checkpoint(path, trust=trust), str(path))
    for note in unwrapped.notes:
        print_log(f'{path}: {note}')
    return unwrapped.tensors
