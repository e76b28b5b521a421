"""What a checkpoint's count of steps stands on: the settings by which a run's schedule and samples are defined."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

from mmsoco.checkpoints.written_config import literals
from mmsoco.errors import UserError
from mmsoco.files import sha256_of

#: Where a checkpoint's meta holds them.
KEY = 'defined_by'
#: Of a data set: where its files are, whose content is compared, and what is done about files that cannot be read.
_PLACES = (
    'data_root',
    'data_prefix',
    'proposal_file',
    'ann_file',
    'held_out',
    'seed',
    'backend_args',
    'file_client_args',
    'follow_links',
    'checked',
    'max_bad',
    'min_bad',
    'max_refetch',
    'lazy_init',
    'serialize_data',
)
#: Of a view pipeline: where colours are changed, by the same draws.
_WHERE = 'photometry'
#: Of a sampler: how the total batch is divided.
_DIVISION = ('batch_size', 'accumulate', 'seed')
#: Of a loop: when it validates.
_VALIDATION = ('val_interval', 'val_begin', 'dynamic_intervals')
_HOOKS = ('WarmupCosineLRHook', 'TargetUpdateHook')
#: What a config alone does not say.
_FACTS = ('images a step', 'images', 'content of proposal_file', 'content of held_out', 'content of ann_file')


def define(cfg: Mapping[str, Any], pretraining: bool, processes: int | None = None) -> dict[str, Any]:
    """The settings that define a run's schedule and samples.

    Not among them is what may change from resuming to resuming: number of
    processes and workers, how a total batch is divided, paths, precision, hooks that
    log, save or measure.

    Args:
        cfg: Settled, or as a checkpoint holds it.
        pretraining: Whether its batch is ``total_batch_size``.
        processes: Of the run; None where it is unknown.

    Returns:
        Key as in the config -> value.
    """
    loader = cfg.get('train_dataloader') or {}
    wrapper = cfg.get('optim_wrapper') or {}
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())]
    found = {
        'train_cfg': _without(cfg.get('train_cfg') or {}, _VALIDATION),
        'randomness': {'seed': (cfg.get('randomness') or {}).get('seed')},
        'optim_wrapper': {key: wrapper.get(key) for key in ('optimizer', 'constructor', 'paramwise_cfg', 'clip_grad')},
        'param_scheduler': cfg.get('param_scheduler'),
        'train_dataloader': {
            'dataset': _without(loader.get('dataset') or {}, _PLACES),
            'sampler': _without(loader.get('sampler') or {}, _DIVISION),
            'batch_sampler': loader.get('batch_sampler'),
        },
        # Parts that do not learn; None where all do, as in checkpoints of earlier versions.
        'model': {'frozen': (cfg.get('model') or {}).get('frozen') or None},
        **{name: hook for hook in hooks if isinstance(hook, dict) and (name := _name(hook.get('type'))) in _HOOKS},
    }
    if pretraining:
        found['total_batch_size'] = cfg.get('total_batch_size')
    else:
        found['optim_wrapper']['accumulative_counts'] = wrapper.get('accumulative_counts', 1)
        if processes is not None and 'batch_size' in loader:
            found['images a step'] = loader['batch_size'] * processes
    return {key: value for key, value in _flat(found) if key.rpartition('.')[2] != _WHERE}


def contents(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What the files of a config's training data hold, wherever they are: checksums, and how many images are used."""
    dataset = cfg['train_dataloader'].get('dataset') or {}
    if 'type' not in dataset:  # building it says more
        return {}
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        kind = dataset['type']
        identify = getattr(registry.get(kind) if isinstance(kind, str) else kind, 'identify', None)
    if identify is not None:
        return identify(dataset)
    digests = [sha256_of(file) for file in _annotations(dataset)]
    return {'content of ann_file': digests} if digests else {}


def of_checkpoint(meta: Mapping[str, Any], pretraining: bool) -> tuple[dict[str, Any], set[str]]:
    """The settings of the run that a checkpoint is of, and the names of those that it does not tell."""
    if KEY in meta:
        return meta[KEY], set()
    cfg = literals(meta.get('cfg') or '')
    if not cfg:
        return {}, {'all'}
    past = define(cfg, pretraining)
    described = meta.get('dataset_meta')
    if isinstance(described, dict) and isinstance(described.get('checksum'), str):
        past['content of proposal_file'] = described['checksum']
    return past, set(_FACTS) - past.keys()


def compare(past: dict[str, Any], now: dict[str, Any], unknown: set[str]) -> list[str]:
    """What differs between two runs, in words; without what is unknown of the first."""
    if 'all' in unknown:
        return []
    keys = sorted((past.keys() | now.keys()) - unknown)
    return [f'{key} {_shown(past, key)}, not {_shown(now, key)}' for key in keys if past.get(key) != now.get(key)]


def require_same_run(
    source: str, meta: Mapping[str, Any], now: dict[str, Any], pretraining: bool, anyway: bool
) -> list[str]:
    """Refuse to go on from a checkpoint of a run that was defined otherwise.

    Args:
        source: The checkpoint, for messages.
        meta: Its own.
        now: Of the run that shall go on.
        pretraining: See :func:`define`.
        anyway: Only say what differs.

    Returns:
        What differs, or cannot be compared, to be logged.

    Raises:
        UserError: With the values of both.
    """
    past, unknown = of_checkpoint(meta, pretraining)
    different = compare(past, now, unknown)
    if different and not anyway:
        more = f', and {len(different) - 3} more' if len(different) > 3 else ''
        raise UserError(
            f'{source} is of a run with {"; ".join(different[:3])}{more}: its steps would mean something else; set '
            'what it had, begin in another --work-dir, or add --resume-anyway'
        )
    notes = [f'resumed anyway: {source} is of a run with {words}' for words in different]
    if untold := sorted(unknown & {'all', *now}):
        what = 'how its run was set up' if untold == ['all'] else ', '.join(untold)
        notes.append(f'not compared, as {source} does not tell it: {what}')
    return notes


def _shown(settings: dict[str, Any], key: str) -> str:
    if key not in settings:
        return 'nothing'
    value = settings[key]
    if key.startswith('content of '):
        return ', '.join(str(part)[:12] for part in (value if isinstance(value, list) else [value]))
    return str(value)


def _without(node: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A config without some keys, those of the data sets in it neither."""
    left = {key: value for key, value in node.items() if key not in names}
    for key in ('dataset', 'datasets'):
        if isinstance(left.get(key), Mapping):
            left[key] = _without(left[key], names)
        elif isinstance(left.get(key), (list, tuple)):
            left[key] = [_without(part, names) for part in left[key] if isinstance(part, Mapping)]
    return left


def _flat(node: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Keys with points and plain values; None counts as left out."""
    if isinstance(node, Mapping):
        for name, part in node.items():
            if name != '_scope_':
                yield from _flat(_name(part) if name == 'type' else part, f'{key}.{name}' if key else str(name))
    elif isinstance(node, (list, tuple)) and any(isinstance(part, Mapping) for part in node):
        for number, part in enumerate(node):
            yield from _flat(part, f'{key}.{number}')
    elif node is not None:
        yield key, _plain(node)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value if isinstance(value, (bool, int, float, str)) or value is None else _name(value)


def _name(kind: Any) -> str:
    """A class by its bare name, as configs have it with and without its scope."""
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition('.')[2]


def _annotations(dataset: Mapping[str, Any]) -> Iterator[Path]:
    """The files of annotations that a data set reads, also one of several."""
    if dataset.get('ann_file'):
        path = Path(dataset.get('data_root') or '', dataset['ann_file'])
        if path.is_file():
            yield path
    parts = dataset.get('datasets') or ()
    for part in (dataset.get('dataset'), *parts):
        if isinstance(part, Mapping):
            yield from _annotations(part)
