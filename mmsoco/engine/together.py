"""Decisions that all processes of a run take together."""

import pickle
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import torch
from mmengine.dist import get_rank, get_world_size, is_main_process
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
        distributed.broadcast_object_list(outcome, group=Together().gloo)
    if outcome[1] is not None:
        raise UserError(outcome[1])
    return outcome[0]


def everywhere(check: Callable[..., Any], *args) -> None:
    """Call a function in all processes; all raise what it raises in any, with its machine's name where not in all.

    Raises:
        UserError: Of the function.
    """
    error = None
    try:
        check(*args)
    except UserError as raised:
        error = raised
    if get_world_size() == 1 and error is not None:
        raise error
    raise_shared(Together().share((socket.gethostname(), None if error is None else str(error))))


def raise_shared(outcomes: Sequence[tuple[str, str | None]]) -> None:
    """Raise what any process has to raise, in all that know it.

    Args:
        outcomes: Of each process its machine's name, and what is wrong, or None.

    Raises:
        UserError: The first one's, with its machine's name where not all have it.
    """
    failed = [rank for rank, (_, words) in enumerate(outcomes) if words is not None]
    if failed:
        host, words = outcomes[failed[0]]
        raise UserError(words if len(failed) == len(outcomes) else f'on {host} (process {failed[0]}): {words}')


class Together:
    """What all processes of a run say to each other at a step's end.

    They talk on the CPU, by gloo, so that no GPU waits for it.
    """

    #: How long they wait for each other; :func:`mmsoco.engine.processes.join` sets it.
    timeout: ClassVar[timedelta] = timedelta(hours=1)
    _group: ClassVar[tuple[Any, Any]] = (None, None)
    #: Bytes that are sent at a time: a process has room for so many of each other one.
    PART: ClassVar[int] = 64 << 20

    @property
    def gloo(self) -> distributed.ProcessGroup:
        """The group that all of them share, made when it is first asked for, by all processes."""
        world, group = Together._group
        if world is not distributed.group.WORLD:
            group = distributed.new_group(backend='gloo', timeout=self.timeout)
            Together._group = (distributed.group.WORLD, group)
        return group

    def highest(self, number: int) -> int:
        """The highest of all processes' numbers."""
        if get_world_size() == 1:
            return number
        numbers = torch.tensor(number)
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self.gloo)
        return int(numbers)

    def gather(self, value: Any) -> list[Any] | None:
        """All processes' values, in the first process; None in the others."""
        if get_world_size() == 1:
            return [value]
        values = [None] * get_world_size() if is_main_process() else None
        distributed.gather_object(value, values, group=self.gloo)
        return values

    def gather_large(self, value: Any) -> list[Any] | None:
        """As :meth:`gather`, in parts: values may be of gigabytes, and of very different sizes."""
        if get_world_size() == 1:
            return [value]
        content = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        sizes = self.share(len(content))
        if get_rank():
            for part in content.split(self.PART):
                distributed.send(part, 0, group=self.gloo)
            return None
        values = [value]
        for other, size in enumerate(sizes[1:], 1):
            buffer = torch.empty(size, dtype=torch.uint8)
            for part in buffer.split(self.PART):
                distributed.recv(part, other, group=self.gloo)
            values.append(pickle.loads(buffer.numpy()))
        return values

    def share(self, value: Any) -> list[Any]:
        """All processes' values, in all of them."""
        values = [value] * get_world_size()
        if len(values) > 1:
            distributed.all_gather_object(values, value, group=self.gloo)
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
            if get_world_size() == 1:
                raise error
            words = self.share(None if error is None else str(error))
            raise UserError(next(word for word in words if word is not None))
