"""A schedule that is longer, or evaluated more often, than a config says."""

import re
from collections.abc import Iterator, Mapping

from mmengine.config import Config

from mmsoco.errors import UserError

#: Arguments of a scheduler that count its time; ``begin`` and ``end`` are settled apart.
_LENGTHS = ('T_max', 'period', 'periods', 'milestones', 'step_size', 'total_steps', 'total_iters')
_WARMUPS = ('LinearLR', 'ConstantLR', 'LinearMomentum', 'ConstantMomentum', 'QuadraticWarmupLR')
#: A rate by time that has no length to scale.
_ENDLESS = ('ExponentialLR', 'ExponentialMomentum', 'ReduceOnPlateauLR', 'ReduceOnPlateauMomentum')
#: Arguments of hooks that say when something happens, as of mmdet's PipelineSwitchHook and YOLOXModeSwitchHook.
_MOMENT = re.compile(r'(switch|begin|start|stop|end|close|num_last)_(epoch|iter)s?')


def bare_type(settings: Mapping) -> str:
    """The name of a part's class, without its scope."""
    kind = settings.get('type', '')
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition('.')[2]


def counts_epochs(cfg: Config) -> bool:
    """Whether a config's training counts epochs.

    Raises:
        UserError: It counts neither epochs nor iterations.
    """
    loop = cfg.train_cfg
    if loop.get('max_epochs'):
        return True
    if loop.get('max_iters'):
        return False
    raise UserError(f'{cfg.filename} has neither train_cfg.max_iters nor max_epochs; set one')


def schedulers(cfg: Config) -> list:
    """Those of the learning rate and of momentum, in one list."""
    found = cfg.get('param_scheduler') or []
    found = found if isinstance(found, (list, tuple)) else [found]
    return [one for part in found for one in (part if isinstance(part, list) else [part])]


def is_warmup(scheduler: Mapping, length: float) -> bool:
    """Whether a scheduler is of the beginning of a training of some length alone, which stays as it is."""
    begin, end = scheduler.get('begin', 0), scheduler.get('end') or length
    return bare_type(scheduler) in _WARMUPS and begin == 0 and end < length


def lengthen(cfg: Config, times: float) -> None:
    """Make a training so many times as long; its warm-up stays, all else of its schedule and of hooks is stretched.

    Args:
        cfg: Of a detector; changed in place.
        times: 1 changes nothing.

    Raises:
        UserError: A scheduler has no length that could be stretched.
    """
    if times == 1:
        return
    by_epoch = counts_epochs(cfg)
    key = 'max_epochs' if by_epoch else 'max_iters'
    loop = cfg.train_cfg
    whole = loop[key]
    loop[key] = _stretched(whole, times)
    for name in ('val_begin', 'val_interval'):
        if loop.get(name, 1) > 1:
            loop[name] = _stretched(loop[name], times)
    warmups = {}
    for scheduler in schedulers(cfg):
        # A scheduler may count otherwise than the loop: iterations of a warm-up within epochs.
        same_unit = scheduler.get('by_epoch', True) == by_epoch
        if is_warmup(scheduler, whole if same_unit else float('inf')):
            warmups[scheduler.get('by_epoch', True)] = scheduler.get('end')
    for scheduler in schedulers(cfg):
        unit = scheduler.get('by_epoch', True)
        if is_warmup(scheduler, whole if unit == by_epoch else float('inf')):
            continue
        if bare_type(scheduler) in _ENDLESS:
            raise UserError(
                f'{bare_type(scheduler)} has no length that --schedules could stretch; take CosineAnnealingLR or '
                'MultiStepLR, or --schedules 1x'
            )
        warm = warmups.get(unit) or 0
        begin = scheduler.get('begin', 0)
        # What follows the warm-up still does.
        after_warmup = begin and begin == warm
        if begin and not after_warmup:
            scheduler['begin'] = _stretched(begin, times)
        if scheduler.get('end'):
            scheduler['end'] = _stretched(scheduler['end'], times)
        for name in _LENGTHS:
            if not scheduler.get(name):
                continue
            length = scheduler[name]
            if name == 'T_max':
                scheduler[name] = _stretched(begin + length, times) - scheduler.get('begin', 0)
            elif isinstance(length, (list, tuple)):
                scheduler[name] = [_stretched(one, times) for one in length]
            else:
                scheduler[name] = _stretched(length, times)
    for hook in hooks_of(cfg):
        for name in filter(_MOMENT.fullmatch, hook):
            if isinstance(hook[name], int) and hook[name] > 0:
                hook[name] = _stretched(hook[name], times)


def hooks_of(cfg: Config) -> Iterator[Mapping]:
    """The settings of a config's hooks."""
    for hook in (*cfg.get('default_hooks', {}).values(), *(cfg.get('custom_hooks') or ())):
        if isinstance(hook, Mapping):
            yield hook


def _stretched(length: int, times: float) -> int:
    return max(1, round(length * times))


def evaluate_often(cfg: Config, evaluations: int) -> None:
    """Evaluate a training so many times, evenly, the last time at its end; save as often, and measure BN before.

    Args:
        cfg: Of a detector; changed in place.
        evaluations: At most one an epoch, where it counts epochs.
    """
    by_epoch = counts_epochs(cfg)
    whole = cfg.train_cfg['max_epochs' if by_epoch else 'max_iters']
    interval = max(1, -(-whole // evaluations))
    # Several of mmdet's configs change their interval on the way.
    cfg.train_cfg.pop('dynamic_intervals', None)
    cfg.train_cfg.val_interval, cfg.train_cfg.val_begin = interval, 1
    saving = cfg.default_hooks.get('checkpoint') or {}
    every = saving.get('every_minutes', 30)
    cfg.default_hooks.checkpoint = dict(
        type='mmsoco.CheckpointHook', by_epoch=by_epoch, interval=interval, max_keep_ckpts=1, every_minutes=every
    )
    for hook in hooks_of(cfg):
        if bare_type(hook) == 'PreciseBNHook':
            hook.update(interval=interval, by_epoch=by_epoch)
