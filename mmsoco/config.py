"""Reading configs, and what they say."""

import argparse
import os
import traceback
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS
from mmengine.utils import import_modules_from_strings

from mmsoco.errors import UserError, reason
from mmsoco.keys import check_options, unread_keys
from mmsoco.models.base import MomentumPretraining
from mmsoco.options import HELP, OptionsAction, fit
from mmsoco.renamed import former_arguments
from mmsoco.resources import PREFIX, config_path

#: The names that mmengine's Runner has in ``default_hooks`` by itself.
MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


#: For messages.
EXAMPLE = f'{PREFIX}own/100-pictures_cpu.py'


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every tool that runs a config."""
    parser.add_argument('config', help=f'file, or one of those that mmsoco configs lists, such as {EXAMPLE}')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default work_dirs/NAME_OF_CONFIG)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help=HELP,
    )


def read_config(path: str | os.PathLike, options: dict | None = None, work_dir: str | None = None) -> Config:
    """Read a config, apply ``--cfg-options``, each as its place takes it, and settle its hooks and the work folder.

    Args:
        path: A file, or the name of one of this package's configs, as mmsoco::own/100-pictures_cpu.py.

    Raises:
        UserError: There is no such file, it cannot be read, or it or the options
            hold keys that nothing reads.
    """
    if str(path).startswith(PREFIX):
        path = config_path(str(path))
    if work_dir == '':
        raise UserError("--work-dir '' is no folder; name one, or leave it out")
    cfg = _read_file(Path(path))
    unread_keys(cfg)
    typed = present_keys(cfg, getattr(options, 'typed', {}))
    options = present_keys(cfg, options or {})
    # fromfile has seen the file's, not the options'; of what they import the others may speak.
    if imports := {key: value for key, value in options.items() if key.startswith('custom_imports')}:
        cfg.merge_from_dict(imports)
        import_modules_from_strings(**cfg.custom_imports)
    options = fit(options, typed, cfg)
    check_options(cfg, options)
    cfg.merge_from_dict(options)
    _check_hooks(cfg)
    _rename_arguments(cfg)
    settle_hooks(cfg)
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(path).stem}'
    return cfg


def _read_file(path: Path) -> Config:
    if path.is_dir():
        raise UserError(f'{path} is a folder; name a config in it')
    if not path.is_file():
        what = 'is no regular file' if path.exists() else 'does not exist'
        raise UserError(f'{path} {what}; mmsoco configs lists those that can be named, such as {EXAMPLE}')
    if path.suffix not in ('.py', '.json', '.yaml', '.yml'):
        raise UserError(f'{path} is no config; they end in .py, .json or .yaml')
    try:
        cfg = Config.fromfile(path)
        dict(cfg.items())  # imports what a config in pure Python names
    except (Exception, SystemExit) as error:  # a config is a program, and may fail in any way
        raise UserError(f'{path} cannot be read: {_why_unreadable(error, path)}; correct it') from error
    _leave_scope(dict(cfg.items()))
    return cfg


def _leave_scope(part: object) -> None:
    """Let ``default_scope`` say where names are looked for, as our configs have it, also if they are inherited.

    mmengine gives what it reads by ``mmsoco::`` the scope ``mmsoco``, in which our detectors' names are not.
    """
    if isinstance(part, dict):
        if part.get('_scope_') == 'mmsoco':
            del part['_scope_']
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for inner in part:
            _leave_scope(inner)


def _why_unreadable(error: BaseException, path: Path) -> str:
    """A reason, with the line where there is one; of a base, with its path."""
    if isinstance(error, SyntaxError):
        return f'line {error.lineno}: {error.msg}' + (f': {error.text.strip()}' if error.text else '')
    if isinstance(error, UnicodeDecodeError):
        return f'it, or a file that it inherits, is not in UTF-8 ({reason(error)})'
    if isinstance(error, RecursionError):
        return 'by its _base_ it inherits itself'
    frame = traceback.extract_tb(error.__traceback__)[-1]
    words = reason(error)
    if frame.name == '<module>' and 'site-packages' not in frame.filename:  # a line of a config
        base = '' if Path(frame.filename).samefile(path) else f'{frame.filename}, '
        words = f'{base}line {frame.lineno}: {words}'
    return words


def require(cfg: Config, *keys: str) -> None:
    """Refuse a config that lacks what it is to be used for.

    Raises:
        UserError: It has no such key, or None there.
    """
    missing = [key for key in keys if cfg.get(key) is None]
    if 'model' in keys and 'model' not in missing and not (isinstance(cfg.model, dict) and 'type' in cfg.model):
        missing.append('model with a type')
    if missing:
        raise UserError(
            f'{cfg.filename} has no {", ".join(missing)}; take a config of mmsoco, mmdet 3 or mmpretrain 1, or inherit '
            'one by _base_'
        )


def read_files(cfg: Config) -> list[Path]:
    """Those that testing a config reads, as far as it names them: itself, and annotations."""
    files = [Path(cfg.filename)]
    for part in (cfg.get('test_evaluator'), (cfg.get('test_dataloader') or {}).get('dataset')):
        for named in part if isinstance(part, list) else [part or {}]:
            if named.get('ann_file'):
                files += [Path(named['ann_file']), Path(named.get('data_root') or '', named['ann_file'])]
    return files


#: The hooks that configs of earlier versions listed in ``custom_hooks``, in their order.
FORMER_HOOKS = ('target_update', 'learning_rate', 'matched_boxes', 'health', 'probe', 'transfer', 'precise_bn')


def present_keys(cfg: Config, options: dict) -> dict:
    """Options by the names that hooks, steps and views have now, where earlier versions counted them.

    Args:
        cfg: The config that they change.
        options: Key, such as ``custom_hooks.3.interval`` or ``...pipeline.1.num_proposals`` -> value.

    Raises:
        UserError: There are not so many.
    """
    return {'.'.join(_present_key(cfg, key.split('.'))): value for key, value in options.items()}


def _present_key(cfg: Config, names: list[str]) -> list[str]:
    if names[0] == 'custom_hooks' and len(names) > 1 and not cfg.get('custom_hooks'):
        there = [name for name in FORMER_HOOKS if cfg.get('default_hooks', {}).get(name)]
        names = ['default_hooks', _by_position(there, names[1], names), *names[2:]]
    node, key = dict(cfg.items()), []
    for name in names:
        if isinstance(node, dict) and name.isdigit() and name not in node:
            name = _by_position(list(node), name, names)
        key.append(name)
        if isinstance(node, (list, tuple)):
            node = node[int(name)] if name.isdigit() and int(name) < len(node) else None
        else:
            node = node.get(name) if isinstance(node, dict) else None
    return key


def _by_position(there: list[str], number: str, names: list[str]) -> str:
    if not number.isdigit() or int(number) >= len(there):
        words = f'what is there has names, {", ".join(there)}' if there else 'nothing is there'
        raise UserError(f'{".".join(names)} changes nothing: {words}')
    return there[int(number)]


def is_pretraining(cfg: Config) -> bool:
    """Whether a config's model is a :class:`~mmsoco.models.MomentumPretraining`, of whatever method."""
    # Where the Runner will look for it: in the config's scope, or in the one that its name says.
    with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        model = cfg.get('model', {}).get('type')
        model = registry.get(model) if isinstance(model, str) else model
    return isinstance(model, type) and issubclass(model, MomentumPretraining)


def settle_hooks(cfg: Config) -> None:
    """Let ``custom_hooks`` replace the named hooks of the same type, and None take a named hook away.

    The configs here name their hooks in ``default_hooks``, where a config that
    inherits them changes one by its name. mmengine would run a hook twice that
    ``custom_hooks`` list, too, and accepts None for its own names only. Named
    hooks that the list does not have stay.

    Args:
        cfg: Config of a Runner; changed in place.
    """
    listed = {_type_name(hook) for hook in cfg.get('custom_hooks') or ()}
    for name, hook in list((cfg.get('default_hooks') or {}).items()):
        if name not in MMENGINE_HOOKS and (hook is None or _type_name(hook) in listed):
            del cfg.default_hooks[name]


def has_hook(cfg: Config, name: str) -> bool:
    """Whether a config has a hook of a type, named or listed, with or without its scope."""
    hooks = (*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ()))
    return any(hook is not None and _type_name(hook) == name for hook in hooks)


def _check_hooks(cfg: Config) -> None:
    """Raise where options set something of a named hook that there is not."""
    hooks = cfg.get('default_hooks') or {}
    unknown = [name for name, hook in hooks.items() if isinstance(hook, dict) and 'type' not in hook]
    if unknown:
        there = ', '.join(name for name in hooks if name not in unknown)
        raise UserError(f'default_hooks has no {unknown[0]}, of which something is set; there are {there}')


def _rename_arguments(cfg: Config) -> None:
    """Let an option, or a config that inherits ours, set an argument of a hook by its former name, too."""
    with HOOKS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        for hook in (*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())):
            if isinstance(hook, dict):
                cls = registry.get(hook['type']) if isinstance(hook['type'], str) else hook['type']
                for former, present in former_arguments(cls).items():
                    if former in hook:
                        hook[present] = hook.pop(former)


def _type_name(hook: object) -> str:
    """The name of a hook's class, without its scope; of its settings or of itself."""
    kind = hook['type'] if isinstance(hook, dict) else type(hook)
    return kind.__name__ if isinstance(kind, type) else kind.rpartition('.')[2]


def hold_out(cfg: Config) -> None:
    """Leave the images that a ProbeHook measures on out of the training data.

    Raises:
        UserError: The config holds out others.
    """
    dataset = cfg.get('train_dataloader', {}).get('dataset', {})
    for hook in (*cfg.get('default_hooks', {}).values(), *(cfg.get('custom_hooks') or ())):
        if hook is not None and _type_name(hook) == 'ProbeHook':
            images = hook['images']
            held_out = dataset.get('held_out') or images
            if held_out != images:
                raise UserError(
                    f'the data set holds out {held_out!r}, ProbeHook {images!r}; hold out the same, or leave '
                    'held_out of the data set away'
                )
            dataset.held_out = held_out
