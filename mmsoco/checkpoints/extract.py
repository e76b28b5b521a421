"""Taking the detector's weights out of a pretraining checkpoint."""

import copyreg
import hashlib
import json
import os
import pickle
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

import mmsoco
from mmsoco.checkpoints.files import read_checkpoint, read_described_safetensors, save
from mmsoco.checkpoints.pretraining import INIT, KEY, TARGET, Origin, detector_weights
from mmsoco.checkpoints.report import format_table, part_of, summarise
from mmsoco.checkpoints.seal import PLACE, seal_safetensors
from mmsoco.checkpoints.tools import Renaming, check_tool, rename
from mmsoco.checkpoints.unwrapping import unwrap
from mmsoco.errors import UserError
from mmsoco.files import atomic_path, check_out
from mmsoco.renamed import renamed_arguments

#: The two networks of a pretraining, and what their parameters' names begin with.
NETWORKS = {'online': '', 'target': TARGET}


def _check_arguments(checkpoint: Path, out: Path, tool: str, network: str) -> None:
    check_tool(tool)
    endings = ('.pkl',) if tool == 'detectron2' else ('.pth', '.safetensors')
    if out.suffix not in endings:
        raise UserError(f"{out} should end in {' or '.join(endings)} for tool '{tool}'")
    if network not in NETWORKS:
        raise UserError(f"network '{network}' is unknown; choose {' or '.join(NETWORKS)}")
    check_out(out, checkpoint, what='the checkpoint to read')


def _network_weights(state_dict: Mapping[str, Tensor], network: str, source: str, origin: Origin) -> dict[str, Tensor]:
    """The detector parts of one of the networks, under the online one's names."""
    weights = detector_weights(state_dict, source, origin)
    if network == 'target':
        followed = {name.removeprefix(TARGET): t for name, t in state_dict.items() if name.startswith(TARGET)}
        if not followed:
            raise UserError(f'{source} holds no target network; give a checkpoint of the pretraining itself')
        weights = detector_weights(followed, source, origin)
    return weights


def _table(state_dict: Mapping[str, Tensor], renaming: Renaming, network: str, origin: Origin) -> str:
    """Part, tensors, values, taken or left; of every tensor of the checkpoint."""
    prefix = NETWORKS[network]

    def rows(names: Iterable[str], note: str) -> list[tuple[str, ...]]:
        own = summarise({name: state_dict[prefix + name] for name in names}, note)
        return [(prefix + part, *rest) for part, *rest in own]

    table = []
    for _, group in groupby(renaming.taken, part_of):
        names = list(group)
        new = [renaming.taken[name] for name in names]
        common = os.path.commonprefix(new)  # noqa: RUF071, of characters, because some tools number conv1, conv2
        table += rows(names, 'taken' if new == names else f'taken as {common}*' if common else 'taken without prefix')
    for reason, group in groupby(renaming.left, renaming.left.__getitem__):
        table += rows(group, f'left: {reason}')

    asked = {prefix + name for name in (*renaming.taken, *renaming.left)}
    others = {name: tensor for name, tensor in state_dict.items() if name not in asked}
    online = {name: tensor for name, tensor in others.items() if name.partition('.')[0] in origin.parts}
    table += summarise(online, 'left: of the online network')
    table += summarise({n: t for n, t in others.items() if n not in online}, 'left: only for pretraining')
    return format_table(table)


def _provenance(meta: Mapping, tool: str, network: str) -> dict:
    """Where the weights come from, in plain values."""
    run = {
        'which': network,
        # The config's file name and the time that the run began.
        'config': meta.get('experiment_name'),
        'epoch': meta.get('epoch'),
        'iter': meta.get('iter'),
        'proposals': meta.get('dataset_meta'),
        # Where it says nothing, neither does what is made of it.
        KEY: meta.get(KEY),
        # Labels that the weights owe something to.
        INIT: meta.get(INIT),
    }
    if 'target' in meta:  # extracted before: it says so itself
        run = meta
    provenance = {**run, 'mmsoco': mmsoco.__version__, 'target': tool}
    return json.loads(json.dumps({key: value for key, value in provenance.items() if value is not None}, default=str))


def _save_pickle(weights: Mapping[str, Tensor], provenance: dict, path: Path) -> None:
    """As detectron2's model zoo has them."""
    content = {
        # numpy has no bfloat16.
        'model': {n: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for n, t in weights.items()},
        '__author__': 'mmsoco',
        'matching_heuristics': True,
        'meta': provenance,
    }
    with path.open('wb') as file:
        pickler = pickle.Pickler(file, protocol=5)
        # An array's own pickle names a module that numpy moved in its version 2, and
        # that older ones, which many installations of detectron2 have, do not know.
        pickler.dispatch_table = copyreg.dispatch_table.copy()
        pickler.dispatch_table[np.ndarray] = lambda a: (np.ndarray, (a.shape, a.dtype.str, bytearray(a.tobytes())))
        pickler.dump(content)


@renamed_arguments(target='tool', which='network')
def extract(
    checkpoint: str | os.PathLike,
    out: str | os.PathLike,
    tool: str = 'mmdet',
    with_hash: bool = False,
    network: str = 'online',
    trust_checkpoint: bool = False,
) -> tuple[Path, str]:
    """Write the detector parts of a pretraining for another tool.

    Args:
        checkpoint: Of a pretraining, or what this function made of one for
            mmdet's two-stage detectors.
        out: File to write: for detectron2 a ``.pkl`` of numpy arrays, for the
            others ``.pth`` (a dict with ``state_dict`` and ``meta``) or
            ``.safetensors``, by the ending.
        tool: One of :data:`~mmsoco.checkpoints.tools.TOOLS`.
        with_hash: Add the first 8 digits of the file's SHA-256 to its name.
        network: 'online', or 'target' for the moving average.
        trust_checkpoint: Allow code in the checkpoint.

    Returns:
        The path written and a table of what was taken and left.

    Raises:
        UserError: Unknown tool or ending, no pretraining checkpoint, or one
            that the tool does not fit; nothing is written then.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    _check_arguments(checkpoint, out, tool, network)
    safe = checkpoint.suffix == '.safetensors'
    loaded = read_described_safetensors(checkpoint) if safe else read_checkpoint(checkpoint, trust=trust_checkpoint)
    unwrapped = unwrap(loaded, str(checkpoint))
    state_dict = unwrapped.tensors
    meta = loaded.get('meta') or {}
    if meta.get('target', 'mmdet') not in ('mmdet', 'mmdet-c4'):
        # Its names may look like the pretraining's and mean something else.
        raise UserError(
            f"{checkpoint} was extracted for tool '{meta['target']}' already; give the checkpoint of the pretraining"
        )
    origin = Origin.of(loaded)
    weights = _network_weights(state_dict, network, str(checkpoint), origin)
    renaming = rename(weights, tool, str(checkpoint))
    # Without gaps or shared memory: convolutions may be in channels_last order.
    taken = {new: weights[name].clone(memory_format=torch.contiguous_format) for name, new in renaming.taken.items()}
    provenance = _provenance(meta, tool, network)
    with atomic_path(out) as temporary:
        if out.suffix == '.pkl':
            _save_pickle(taken, provenance, temporary)
        elif out.suffix == '.safetensors':
            strings = {key: value if isinstance(value, str) else json.dumps(value) for key, value in provenance.items()}
            save_file(taken, temporary, metadata=strings | PLACE)
            seal_safetensors(temporary)
        else:
            save({'state_dict': taken, 'meta': provenance}, temporary)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    if with_hash:
        out = out.rename(out.with_name(f'{out.stem}-{digest[:8]}{out.suffix}'))
    table = _table(state_dict | unwrapped.others, renaming, network, origin)
    return out, '\n'.join([*unwrapped.notes, table, f'SHA-256 {digest}'])
