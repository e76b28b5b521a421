"""Decisions that all processes of a run take together."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from torch import distributed

from mmsoco.errors import UserError


def first_decides(decide: Callable[..., Any], *args) -> Any:
    """Call a function in the first process; all get what it returns, or raise its error.

    What depends on files, for one which checkpoint is the newest, may look
    different from another machine, or a moment later.

    Raises:
        UserError: Of the function.
    """
    outcome = [None, None]
    if is_main_process():
        try:
            outcome[0] = decide(*args)
        except UserError as error:
            outcome[1] = str(error)
    if get_world_size() > 1:
        # By gloo, too: reading large checkpoints may take longer than NCCL waits.
        distributed.broadcast_object_list(outcome, group=Together()._gloo)
    if outcome[1] is not None:
        raise _shared(outcome[1])
    return outcome[0]


def _shared(words: str) -> UserError:
    error = UserError(words)
    error.shared = True
    return error


class Together:
    """What all processes of a run say to each other at a step's end.

    They talk on the CPU, by gloo, so that no GPU waits for it.
    """

    def __init__(self):
        self._group = None

    @property
    def _gloo(self) -> distributed.ProcessGroup:
        if self._group is None:
            self._group = distributed.new_group(backend='gloo')
        return self._group

    def highest(self, number: int) -> int:
        """The highest of all processes' numbers."""
        if get_world_size() == 1:
            return number
        numbers = torch.tensor(number)
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self._gloo)
        return int(numbers)

    def gather(self, value: Any) -> list[Any] | None:
        """All processes' values, in the first process; None in the others."""
        if get_world_size() == 1:
            return [value]
        values = [None] * get_world_size() if is_main_process() else None
        distributed.gather_object(value, values, group=self._gloo)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        self.highest(0)

    def raise_any(self, error: UserError | None) -> None:
        """Raise in all processes what any of them has to raise; without it, go on.

        Raises:
            UserError: The first one.
        """
        if self.highest(int(error is not None)):
            words = [None] * get_world_size()
            if get_world_size() == 1:
                raise error
            distributed.all_gather_object(words, None if error is None else str(error), group=self._gloo)
            raise _shared(next(word for word in words if word is not None))
