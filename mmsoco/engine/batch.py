"""Dividing the total batch over processes."""

from mmengine.config import Config

from mmsoco.errors import UserError


def divide_batch(cfg: Config, world_size: int, accumulate: int) -> str:
    """Set the batch of each process so that the total is ``cfg.total_batch_size``.

    The recipe is made for a total batch; how many processes share it, and how
    many micro-batches each takes for one optimizer step, changes nothing else.

    Args:
        cfg: A pretraining config; changed in place.
        world_size: Number of processes.
        accumulate: Micro-batches a process takes for an optimizer step.

    Returns:
        The split in words, such as ``2048 = 16 x 128``.

    Raises:
        UserError: There is no total, or it does not divide.
    """
    total = cfg.get('total_batch_size')
    if total is None:
        raise UserError('a pretraining is made for a batch; set how many images it has in all: total_batch_size = 2048')
    if not isinstance(total, int) or isinstance(total, bool) or total < 1:
        raise UserError(f'total_batch_size {total} is not a number of images; set 1 or more')
    parts = world_size * accumulate
    if parts < 1 or total % parts:
        near = max((n for n in range(1, parts + 1) if total % n == 0), default=1)
        fitting = max(total // max(parts, 1), 1) * max(parts, 1)
        raise UserError(
            f'total_batch_size {total} does not divide into {world_size} processes x {accumulate} accumulated '
            f'batches; use for instance {near} in all, or --cfg-options total_batch_size={fitting}'
        )
    batch_size = total // parts
    cfg.train_dataloader.batch_size = batch_size
    cfg.train_dataloader.sampler.update(batch_size=batch_size, accumulate=accumulate)
    cfg.optim_wrapper.accumulative_counts = accumulate
    return f'{total} = {world_size} x {batch_size}' + (f' x {accumulate} accumulated' if accumulate > 1 else '')
