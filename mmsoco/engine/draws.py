"""What a model draws in a step: masks of drop-path and dropout, samples of boxes."""

import numpy as np
import torch


def seed_step(seed: int, rank: int, step: int, batch: int = 0) -> None:
    """Seed torch's generators, of CPU and devices, for one batch of one process.

    So processes, steps and micro-batches draw each their own, and what is drawn depends on
    nothing else: a run that was stopped draws what it would have drawn. On a device this
    sets two numbers of its generator, and waits for nothing.

    Args:
        seed: Of the run.
        rank: Number of the process.
        step: Number of the step.
        batch: Number of the micro-batch in the step.
    """
    # SeedSequence mixes: neighbours get seeds that have nothing in common. torch's generator
    # of the CPU takes 32 bits of it, those of devices all 64.
    (mixed,) = np.random.SeedSequence((seed, rank, step, batch)).generate_state(1, np.uint64)
    torch.default_generator.manual_seed(int(mixed))
    # Not torch.manual_seed(), which for each kind of device that is not there writes down from where it was called.
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(int(mixed))
