"""Putting weights of any origin into a network, as far as they go."""

import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from safetensors.torch import load_file
from torch import Tensor, nn

from mmsoco.checkpoints.files import read_checkpoint
from mmsoco.errors import UserError
from mmsoco.probe.measure import build

#: What a stage's weights are called in mmdet's detectors and in pretrainings.
_PARTS = {
    'backbone': ('backbone.',),
    'neck': ('neck.',),
    'head': ('roi_head.bbox_head.shared_', 'roi_head.bbox_head.0.shared_', 'roi_head.shared_head.'),
    'embedding': ('projector.', 'predictor.'),
}


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


def load_network(cfg: Config, checkpoint: str | os.PathLike) -> tuple[nn.Module, list[str]]:
    """Build a config's model and fill it.

    Args:
        cfg: A pretraining's config or a detector's.
        checkpoint: Of this model; or of another with the same backbone, perhaps
            neck and head, in mmdet's names or, of the backbone alone, in torchvision's.

    Returns:
        The model, and the stages whose every weight was loaded.

    Raises:
        UserError: Not even the backbone is in the checkpoint.
    """
    model = build(cfg.model)
    own = model.state_dict()
    given = _tensors(checkpoint)
    if not any(name.startswith('backbone.') for name in given):
        given = {f'backbone.{name}': tensor for name, tensor in given.items()}
    loaded = []
    for part, beginnings in _PARTS.items():
        # Counts of BN's batches are of no use, and some tools leave them out.
        names = [name for name in own if name.startswith(beginnings) and not name.endswith('num_batches_tracked')]
        misfit = next((n for n in names if n not in given or given[n].shape != own[n].shape), None)
        if part == 'backbone' and misfit:
            there = tuple(given[misfit].shape) if misfit in given else 'missing'
            raise UserError(
                f'{checkpoint} does not hold the backbone of the config: {misfit} is {there} there, '
                f'{tuple(own[misfit].shape)} here; give the config of its model'
            )
        if names and not misfit:
            loaded.append(part)
            own |= {name: given[name] for name in names}
    model.load_state_dict(own)
    return model, loaded


def _tensors(path: str | os.PathLike) -> Mapping[str, Tensor]:
    if Path(path).suffix == '.safetensors':
        try:
            return load_file(path)
        except Exception as error:  # its reader's own kind, or the system's
            raise UserError(f'{path} cannot be read ({error})') from None
    content = read_checkpoint(path)
    content = content.get('state_dict', content)
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f'{path} holds no weights; give a checkpoint')
    return tensors
