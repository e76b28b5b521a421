"""The batch that a fine-tuning's learning rate is made for."""

import inspect
from collections.abc import Iterator, Mapping

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from mmsoco.errors import UserError


def settle_rate(cfg: Config, world_size: int, scale: bool, options: Mapping | None = None) -> str:
    """Compare a fine-tuning's batch with the one that its learning rate is made for; refuse another one, or scale.

    What it is made for is mmdet's ``auto_scale_lr.base_batch_size``. Scaled is
    linearly, as mmengine does (Goyal et al. 2017), but in the config: so accumulated
    batches count, and the rates of all parameter groups, warm-up and schedule follow.

    Args:
        cfg: Not of a pretraining, whose total batch is divided; changed in place.
        world_size: Number of processes.
        scale: Whether to scale; ``auto_scale_lr.enable`` of a config means the same.
        options: What ``--cfg-options`` gave; a learning rate in them is taken as it is.

    Returns:
        What was found or done, to be logged.

    Raises:
        UserError: The batches differ, and neither is the rate to be scaled nor was it given; or
            the config does not say what there is to scale by.
    """
    given = cfg.get('auto_scale_lr') or {}
    base, scale = given.get('base_batch_size'), scale or bool(given.get('enable'))
    # mmengine's own scaling would not count accumulated batches.
    cfg.auto_scale_lr = dict(enable=False, base_batch_size=base)
    loader = cfg.train_dataloader
    batch_size = loader.get('batch_size', (loader.get('batch_sampler') or {}).get('batch_size'))
    if not isinstance(batch_size, int) or batch_size < 1:  # building the loader says more of it
        return f'images a step cannot be counted by train_dataloader.batch_size {batch_size!r}'
    accumulate = cfg.optim_wrapper.get('accumulative_counts', 1)
    batch = world_size * batch_size * accumulate
    split = f'{batch} = {world_size} x {batch_size}' + (f' x {accumulate} accumulated' if accumulate > 1 else '')
    if base is None:
        if scale:
            raise UserError(
                'to scale the learning rate, the config has to say for how many images a step it is made; give '
                '--cfg-options auto_scale_lr.base_batch_size=16, or the number that is true'
            )
        return f'images a step: {split}; the config does not say for how many its learning rate is made'
    if not isinstance(base, (int, float)) or isinstance(base, bool) or base <= 0:
        raise UserError(f'auto_scale_lr.base_batch_size {base!r} is not a number of images; set 1 or more')
    if base == batch:
        return f'images a step: {split}, as the learning rate is made for'
    rates = [_rate(optimizer) for optimizer in _optimizers(cfg)]
    now = ', '.join(f'{rate:g}' for rate in rates)
    scaled = ', '.join(f'{rate * batch / base:g}' for rate in rates)
    if scale:
        for optimizer, rate in zip(_optimizers(cfg), rates, strict=True):
            optimizer['lr'] = rate * batch / base
        # What is written down as the run's config is made for this batch.
        cfg.auto_scale_lr = dict(enable=False, base_batch_size=batch)
        return f'images a step: {split}, not {base:g}: learning rate {scaled}, scaled linearly from {now}'
    if any(key == 'lr' for key in _keys((options or {}).items(), 'optim_wrapper')):
        return f'images a step: {split}, not {base:g}; learning rate {now}, as given'
    raise UserError(
        f'the learning rate {now} is made for {base:g} images a step, and these are {split}; add --auto-scale-lr to '
        f'the command, for {scaled}, or give one yourself: --cfg-options optim_wrapper.optimizer.lr={scaled}; if '
        f'{now} is meant for {batch}, --cfg-options auto_scale_lr.base_batch_size={batch}'
    )


def _optimizers(cfg: Config) -> list[dict]:
    """The settings of the optimizer, or of several that a constructor makes one wrapper each of."""
    wrapper = cfg.optim_wrapper
    nested = [part for part in wrapper.values() if isinstance(part, Mapping) and 'optimizer' in part]
    return [part['optimizer'] for part in (wrapper, *nested) if isinstance(part.get('optimizer'), Mapping)]


def _rate(optimizer: Mapping) -> float:
    rate = optimizer.get('lr')
    if rate is None:
        cls = OPTIMIZERS.get(optimizer['type']) if isinstance(optimizer['type'], str) else optimizer['type']
        rate = getattr(inspect.signature(cls).parameters.get('lr'), 'default', None)
    if not isinstance(rate, (int, float)):
        raise UserError(f'optim_wrapper.optimizer.lr {rate!r} is no number; set one')
    return rate


def _keys(items, prefix: str) -> Iterator[str]:
    """The last names of all keys below one, of options in whatever nesting."""
    for key, value in items:
        if key.split('.')[0] == prefix or not prefix:
            if isinstance(value, Mapping):
                yield from _keys(value.items(), '')
            else:
                yield key.rpartition('.')[2]
