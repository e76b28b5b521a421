"""A training between whose reports nothing is to wait for the device."""

from mmsoco.engine.launch import train
from mmsoco.engine.loops import PretrainLoop

STEPS = 8


def train_watched(recipe, options, folder, monkeypatch, context, **settings):
    """Train by the tiny recipe, two steps a report; whether somebody read each step's figures.

    Every step runs, hooks and all, in a context that is given its number and whether somebody reads its figures.
    """
    original, seen = PretrainLoop.run_iter, []

    def run_iter(loop, idx, batches):
        # What the loader does to arrays is no matter of the device.
        batches = list(batches)
        read = loop._somebody_reads()
        seen.append(read)
        with context(idx, read):
            original(loop, idx, batches)

    monkeypatch.setattr(PretrainLoop, 'run_iter', run_iter)
    options = {
        **options,
        'train_cfg': dict(_delete_=True, type='PretrainLoop', max_steps=STEPS),
        'default_hooks.learning_rate.warmup_share': 0.5,
        'default_hooks.checkpoint': dict(by_epoch=False, interval=STEPS),
        'default_hooks.matched_boxes': None,
    }
    options.pop('default_hooks.record.type')  # it looks at all weights
    runner = train(recipe, str(folder), options=options, **settings)
    assert runner.iter == STEPS
    return seen
