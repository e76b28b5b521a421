"""Trainings in processes of their own that begin with everything imported, to be killed."""

import contextlib
import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from unittest import mock

import mmdet.models
import torch.utils.tensorboard
from formatting import formatted_once

import mmsoco.datasets
import mmsoco.models
from mmsoco.engine.launch import train

__all__ = ['begin', 'mmdet', 'mmsoco']


def _train(recipe: str, work_dir: str, options: dict) -> None:
    torch.set_num_threads(1)
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), formatted_once():
            train(recipe, work_dir, resume='auto', amp=False, options=options)


def begin(recipe: str, work_dir: str, options: dict) -> BaseProcess:
    """Start a training, or go on with it, in a process of its own."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['forked_training'])
    process = context.Process(target=_train, args=(str(recipe), str(work_dir), options))
    # Before Python 3.13 the server does not look for modules where this process does.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        process.start()
    return process
