"""Ending a training before its end with nothing lost."""

import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from torch.utils.data import DataLoader

from mmsoco.engine.loader import end_with_lost_batches
from mmsoco.errors import RANKS, Stopped, UserError


class Interrupted(UserError):
    """A training that was told to stop.

    Args:
        message: What was saved and how to go on.
        number: The signal; the exit status is 128 more, as shells have it.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.status = 128 + number


class StopSignals:
    """SIGTERM and SIGINT, which ask a training to stop at the end of a step.

    A context: within it the signals are remembered instead of ending the process.
    Before the first step, when nothing can be lost, they end it at once; and so
    does a second Ctrl-C, of somebody who does not want to wait. Of processes that
    a launcher started the second one is the launcher's, which hands on what the
    terminal has sent to all already.

    Attributes:
        number: The signal that came; 0 when none has.
        training: Whether the first step has begun.
    """

    def __init__(self):
        self.number = 0
        self.training = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> 'StopSignals':
        self.number, self.training = 0, False
        # Processes that wait for others to begin wait where Python runs no handlers: they just end.
        self._catch(signal.SIGINT, *(() if _is_launched() else (signal.SIGTERM,)))
        return self

    def __exit__(self, *exception) -> None:
        self.forget()

    def forget(self) -> None:
        """Let signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def begin_training(self) -> None:
        """From now on, there is something to lose."""
        self.training = True
        self._catch(signal.SIGINT, signal.SIGTERM)

    def _catch(self, *numbers: signal.Signals) -> None:
        # Elsewhere Python refuses; somebody else has the main thread and decides.
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                self._before.setdefault(number, signal.signal(number, self._note))

    def _note(self, number: int, frame: FrameType | None) -> None:
        impatient = self.number == number == signal.SIGINT and not _is_launched()
        self.number = number
        if not self.training:
            raise Stopped(f'by {signal.Signals(number).name} before the first step', 128 + number)
        if impatient:
            raise Stopped('in the middle of a step; --resume goes on from the last checkpoint', 128 + number)


def _is_launched() -> bool:
    return any(name in os.environ for name in RANKS)


#: Those of this process.
stop_signals = StopSignals()
# What the thread that forks let pass before.
_before_fork = threading.local()


def _hold_signals() -> None:
    _before_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))


def _let_signals_pass() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _before_fork.mask)


def _forget_in_child() -> None:
    stop_signals.forget()
    _let_signals_pass()


# A pool of processes, as of an evaluation, ends its workers by SIGTERM and waits for them. One that came while a
# worker still had this process' handlers would be lost; so it waits until they are forgotten.
os.register_at_fork(before=_hold_signals, after_in_parent=_let_signals_pass, after_in_child=_forget_in_child)


def follow_parent(grace: float = 120.0) -> None:
    """Stop this process as SIGTERM does when its parent is gone, so that no orphan goes on writing.

    For processes of a launcher, which may be killed alone.

    Args:
        grace: Seconds after which it ends however far it is; it may wait for other
            processes that are gone.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def shielded(build: Callable[..., DataLoader]) -> Callable[..., DataLoader]:
    """A function that builds loaders, whose workers are to end when their parent ends them, and not before."""

    @functools.wraps(build)
    def build_shielded(*args, **kwargs) -> DataLoader:
        loader = build(*args, **kwargs)
        if loader.num_workers:
            loader.worker_init_fn = functools.partial(shield_worker, loader.worker_init_fn)
        return loader

    return build_shielded


def shield_worker(former: Callable[[int], None] | None, worker_id: int) -> None:
    """What a loader worker does first, so that only its parent ends it.

    A terminal, and Slurm, send signals to all processes of a run; a worker that
    died of one would take the step with it that its parent wants to finish.

    Args:
        former: What the loader was configured to do first, or None.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    # Blocked for all threads that come, and taken by one that can see who sent it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def listen() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    end_with_lost_batches()
    if former is not None:
        former(worker_id)
