"""The configs of a comparison: of each arm, and of each of its runs."""

import copy
import functools
import hashlib
import json
from collections.abc import Mapping

from mmengine.config import Config, ConfigDict

from mmsoco.compare.fitting import fit_norms
from mmsoco.compare.labels import annotations_of, labelled
from mmsoco.compare.own_data import put
from mmsoco.compare.plan import Comparison, Init, Run
from mmsoco.compare.schedules import bare_type, counts_epochs, evaluate_often, lengthen
from mmsoco.config import is_pretraining, read_config, require
from mmsoco.errors import UserError
from mmsoco.files import sha256_of
from mmsoco.options import Options

#: What loads a file of weights.
_HOOK = 'default_hooks.transfer.type'


def config_of_arm(comparison: Comparison, init: Init) -> tuple[Config, list[str]]:
    """A detector's config as an arm trains it, at the length and on the data that it says.

    Returns:
        The config, and what was changed in it that is the same in all arms.

    Raises:
        UserError: There is no such config, it is of no detector, of no evaluation, or one that scratch cannot learn.
    """
    only = comparison.only.get(init.name, Options())
    options = {**comparison.options, **only}
    typed = {**comparison.options.typed, **only.typed}
    if init.file is not None:
        options = {_HOOK: 'mmsoco.TransferHook', **options, 'load_from': init.file}
    cfg = read_config(comparison.config, Options(options, typed=typed))
    if is_pretraining(cfg):
        raise UserError(f'{comparison.config} is a pretraining; give the config of a detector')
    require(cfg, 'model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
    require(cfg, 'val_dataloader', 'val_evaluator', 'val_cfg')
    if comparison.own is not None:
        put(cfg, comparison.own)
    cfg.setdefault('default_hooks', ConfigDict())
    notes = [f'in no arm the config itself loads {name}' for name in dict.fromkeys(drop_pretrained(cfg.model))]
    if init.file is None:
        cfg.load_from = None
        cfg.default_hooks = ConfigDict({k: hook for k, hook in cfg.default_hooks.items() if not _is_transfer(hook)})
        cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or () if not _is_transfer(hook)]
    cfg.resume = False
    if comparison.fit:
        notes += [f'in every arm: {words}' for words in fit_norms(cfg)]
    if any(one.file is None for one in comparison.inits):
        notes += _slow_backbones(cfg)
    return cfg, notes


def _slow_backbones(cfg: Config) -> list[str]:
    """What lets a backbone learn slower than the rest, which is made for weights that are good already."""
    keys = (cfg.optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    return [
        f'in every arm: {name} learns at {how["lr_mult"]:g} of the rate, which holds scratch back'
        for name, how in keys.items()
        if 'backbone' in name and how.get('lr_mult', 1) < 1
    ]


def _is_transfer(hook: Mapping | None) -> bool:
    return hook is not None and bare_type(hook) == 'TransferHook'


def drop_pretrained(node: Mapping | list | tuple) -> list[str]:
    """Let nothing in a model's config load weights by itself; so that scratch is scratch.

    Args:
        node: Changed in place.

    Returns:
        What would have been loaded.
    """
    dropped = []
    for key, value in list(node.items() if isinstance(node, Mapping) else enumerate(node)):
        if key == 'init_cfg' and value:
            each = value if isinstance(value, (list, tuple)) else [value]
            kept = [one for one in each if bare_type(one) not in ('Pretrained', 'PretrainedInit')]
            dropped += [str(one.get('checkpoint')) for one in each if one not in kept]
            if len(kept) < len(each):
                # Not an empty list: to that, mmdet's ResNet adds no initialisation of its own.
                node[key] = kept or None
        elif key == 'pretrained' and value is True:  # timm's
            dropped.append(f'the weights of {node.get("model_name", bare_type(node))}')
            node[key] = False
        elif key == 'pretrained' and isinstance(value, str):
            dropped.append(value)
            node[key] = None
        elif isinstance(value, (Mapping, list, tuple)):
            dropped += drop_pretrained(value)
    return dropped


def config_of_run(comparison: Comparison, arm: Config, run: Run, length: int) -> Config:
    """The whole config of a run.

    Args:
        arm: That of its arm, see :func:`config_of_arm`; stays as it is.
        run: Which one.
        length: Samples of the whole training data; as many an epoch of a part has.
    """
    cfg = copy.deepcopy(arm)
    if run.fraction < 1:
        for part, dataset in enumerate(labelled(cfg.train_dataloader.dataset)):
            dataset.ann_file = str(comparison.labels(run.fraction, run.seed, part))
        if counts_epochs(cfg):
            _repeat(cfg.train_dataloader, length)
    lengthen(cfg, run.schedule)
    evaluate_often(cfg, comparison.evaluations)
    cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': run.seed}
    cfg.default_hooks.curve = dict(type='mmsoco.CurveHook')
    return cfg


def _repeat(parent: ConfigDict, length: int) -> None:
    """Let the data set below a loader have the whole's length; below what mixes images, which hooks look for."""
    if bare_type(parent.dataset) == 'MultiImageMixDataset':
        parent = parent.dataset
    parent.dataset = ConfigDict(type='mmsoco.RepeatedTo', dataset=parent.dataset, length=length)


def fingerprint(comparison: Comparison, arm: Config, cfg: Config) -> str:
    """What a run's result is of: a digest of its config, wherever its folder is, and of what its files hold.

    Args:
        arm: Of the run's arm, which names the whole training's labels.
        cfg: Of the run.
    """
    # The weights count by what they are, not by how their path is typed.
    config = cfg.to_dict() | {'load_from': None}
    text = json.dumps(config, sort_keys=True, default=str).replace(str(comparison.out), 'OUT')
    how = (comparison.amp, comparison.auto_scale_lr, comparison.processes)
    evaluators = cfg.val_evaluator if isinstance(cfg.val_evaluator, (list, tuple)) else [cfg.val_evaluator]
    read = (arm.train_dataloader.dataset, cfg.val_dataloader.dataset, *evaluators)
    files = [annotations_of(one) for part in read for one in labelled(part)]
    labels = [digest_of_file(file) for file in files if file.is_file()]
    weights = digest_of_file(cfg.load_from) if cfg.get('load_from') else None
    return hashlib.sha256(repr((text, how, weights, labels)).encode()).hexdigest()


#: SHA-256 of a file, once a process.
digest_of_file = functools.cache(sha256_of)
