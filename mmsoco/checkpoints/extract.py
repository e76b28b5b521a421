"""Taking the detector's weights out of a pretraining checkpoint."""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

import mmsoco
from mmsoco.checkpoints.files import read_checkpoint
from mmsoco.checkpoints.pretraining import PRETRAINING_ONLY, detector_weights
from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.errors import UserError
from mmsoco.files import atomic_path

SUFFIXES = ('.pth', '.safetensors')


def _to_mmdet(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Two-stage detectors of mmdet: the pretraining bears their names already."""
    return weights


#: Target -> from the pretraining's names to the target's.
TARGETS = {'mmdet': _to_mmdet}


def extract(
    checkpoint: str | os.PathLike, out: str | os.PathLike, target: str = 'mmdet', with_hash: bool = False
) -> tuple[Path, str]:
    """Write the online network's detector parts for another tool.

    Args:
        checkpoint: Of a pretraining.
        out: File to write; ``.pth`` (a dict with ``state_dict`` and ``meta``)
            or ``.safetensors`` by the ending.
        target: One of :data:`TARGETS`.
        with_hash: Add the first 8 digits of the file's SHA-256 to its name.

    Returns:
        The path written and a table of what was taken and left.

    Raises:
        UserError: Unknown target or ending, or no pretraining checkpoint;
            nothing is written then.
    """
    out = Path(out)
    if target not in TARGETS:
        raise UserError(f"target '{target}' is unknown; choose one of {', '.join(TARGETS)}")
    if out.suffix not in SUFFIXES:
        raise UserError(f'{out} should end in {" or ".join(SUFFIXES)}')
    loaded = read_checkpoint(checkpoint)
    state_dict = loaded.get('state_dict')
    if not isinstance(state_dict, dict):
        raise UserError(f'{checkpoint} holds no state_dict; give a checkpoint of a SoCo pretraining')
    weights = detector_weights(state_dict, str(checkpoint))
    # Without gaps or shared memory: convolutions may be in channels_last order.
    taken = {name: t.clone(memory_format=torch.contiguous_format) for name, t in TARGETS[target](weights).items()}
    left = {name: t for name, t in state_dict.items() if name.startswith(PRETRAINING_ONLY)}
    table = format_table(summarise(taken, 'taken') + summarise(left, 'left: only for pretraining'))

    meta = loaded.get('meta', {})
    provenance = {
        'mmsoco': mmsoco.__version__,
        'target': target,
        'epoch': meta.get('epoch'),
        'iter': meta.get('iter'),
        'proposals': meta.get('dataset_meta'),
    }
    with atomic_path(out) as temporary:
        if out.suffix == '.safetensors':
            save_file(taken, temporary, metadata={key: str(value) for key, value in provenance.items()})
        else:
            torch.save({'state_dict': taken, 'meta': provenance}, temporary)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    if with_hash:
        out = out.rename(out.with_name(f'{out.stem}-{digest[:8]}{out.suffix}'))
    return out, f'{table}\nSHA-256 {digest}'
