#!/usr/bin/env python
"""torchrun, with exit statuses that say what happened; the arguments are torchrun's.

A process that was lost, or failed, is started again with all others, --max-restarts times. One
that ends on purpose (2: something given is wrong; 130, 143: it was told to stop) is not, and its
status becomes this command's.
"""

import ipaddress
import logging
import os
import signal
import socket
import sys
import time

from torch.distributed import run as torchrun
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher import api

from mmsoco.errors import reason

ON_PURPOSE = (2, 128 + signal.SIGINT, 128 + signal.SIGTERM)


class Agent(LocalElasticAgent):
    """torchrun's supervisor of a node's processes, which knows who ended on purpose.

    Its processes see by MMSOCO_STARTED_BEFORE that they are not the first ones: torchrun's own
    count leaves out that they start again because another node's do.
    """

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, object]:
        started = super()._start_workers(worker_group)
        os.environ['MMSOCO_STARTED_BEFORE'] = '1'
        return started

    def _stop_workers(self, worker_group: WorkerGroup, *args, **kwargs) -> None:
        # One is lost: the others have nothing to save, and may wait for it.
        if self._pcontext is not None:
            self._pcontext.close(signal.SIGTERM, 30)
        super()._stop_workers(worker_group, *args, **kwargs)

    def _shutdown(self, death_sig: signal.Signals = signal.SIGTERM, *args, **kwargs) -> None:
        # Time to finish a step and to write a checkpoint, before what is left is killed.
        if self._pcontext is not None:
            self._pcontext.close(death_sig, int(os.environ.get('SHUTDOWN_TIMEOUT', 300)))
        super()._shutdown(death_sig, *args, **kwargs)

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result = super()._monitor_workers(worker_group)
        if result.is_failed():
            if any(failure.exitcode in ON_PURPOSE for failure in result.failures.values()):
                self._remaining_restarts = 0
            elif self._remaining_restarts:
                words = describe(result.failures)
                print(f'torchrun: {words}; starting again ({self._remaining_restarts} times left)', file=sys.stderr)
        return result


def describe(failures: dict[int, ProcessFailure]) -> str:
    """What became of the processes that failed, the first one in words."""
    rank, failure = min(failures.items(), key=lambda item: item[1].timestamp)
    how = f'exit status {failure.exitcode}'
    if failure.exitcode < 0:
        how = f'killed by {signal.Signals(-failure.exitcode).name}'
    others = f', and {len(failures) - 1} more' if len(failures) > 1 else ''
    return f'process {rank} is lost ({how}){others}'


def address_towards(host: str, alone: bool) -> str:
    """This machine's address on the way to another; names of machines are not known everywhere.

    Args:
        alone: Whether there is only this machine.
    """
    family, *_, address = socket.getaddrinfo(host, 1, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as way:
        way.connect(address)  # sends nothing
        own = way.getsockname()[0]
    # Many a machine calls itself by an address that leads nowhere else.
    return own if alone or not ipaddress.ip_address(own.partition('%')[0]).is_loopback else host


def main() -> int:
    # What is said is said below, in a line.
    logging.disable(logging.ERROR)
    api.LocalElasticAgent = Agent
    args = torchrun.parse_args(sys.argv[1:])
    host = args.rdzv_endpoint.rpartition(':')[0]
    try:
        args.local_addr = args.local_addr or address_towards(host, alone=args.nnodes == '1')
    except OSError as error:
        print(
            f'error: MASTER_ADDR {host} cannot be reached ({reason(error, bare=True)}); give the first node by its '
            'address',
            file=sys.stderr,
        )
        return 2
    os.environ['MMSOCO_LAUNCHED'] = str(time.time())
    try:
        torchrun.run(args)
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        codes = {failure.exitcode for failure in error.failures.values()}
        if on_purpose := codes.intersection(ON_PURPOSE):
            return max(on_purpose)
        print(f'error: {describe(error.failures)}; what it printed is above', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
