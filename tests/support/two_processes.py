"""A function of a test in two processes that talk by gloo."""

import multiprocessing

import torch
from torch import distributed

from mmsoco.errors import UserError


def _run(function, rank, store, pipe):
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=2)
    try:
        outcome = function(rank)
    except UserError as error:
        outcome = str(error)
    pipe.send(outcome)
    distributed.destroy_process_group()


def in_two_processes(function, folder):
    """What a function of the rank returns, or raises, in each of two processes that talk by gloo."""
    fork = multiprocessing.get_context('fork')
    pipes = [fork.Pipe() for _ in range(2)]
    processes = [
        fork.Process(target=_run, args=(function, rank, folder / 'store', pipe)) for rank, (_, pipe) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    outcomes = [pipe.recv() if pipe.poll(60) else 'nothing' for pipe, _ in pipes]
    for process in processes:
        process.kill()
        process.join()
    return outcomes
