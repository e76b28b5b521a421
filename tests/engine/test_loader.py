"""Workers that cannot hand on their batches."""

import faulthandler
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmsoco.engine.interruption import shielded
from mmsoco.engine.loader import end_with_lost_batches, next_batch
from mmsoco.errors import is_of_shared_memory


class Unpicklable(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return lambda: None


def same(batch):
    return batch


def test_a_batch_that_cannot_be_handed_on_ends_its_worker(capfd):
    """Python would print it, and the loader wait for ever."""
    loader = shielded(DataLoader)(Unpicklable(), num_workers=1, collate_fn=same)
    with pytest.raises(RuntimeError, match=r'DataLoader worker .* exited unexpectedly') as error:
        next_batch(iter(loader), loader)
    assert 'a batch is lost: ' in capfd.readouterr().err and not is_of_shared_memory(error.value)


def test_where_shared_memory_ends_it_dies_as_of_that():
    child = os.fork()
    if not child:
        try:
            faulthandler.disable()  # pytest's would print where it dies
            end_with_lost_batches()
            from multiprocessing.queues import Queue

            Queue._on_queue_feeder_error(RuntimeError('unable to write to file </torch_1>: No space left'), None)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGBUS


SCRIPT = """
import torch
from torch.utils.data import DataLoader
from mmsoco.engine.interruption import shielded
from mmsoco.errors import command, preparation_over

@command
def main():
    preparation_over()
    samples = torch.ones(8, 300_000)
    for _ in shielded(DataLoader)(samples, batch_size=4, num_workers=1, **OPTIONS):
        pass

main()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('unshare') is None, reason='needs user namespaces')
@pytest.mark.parametrize('options', ['{}', 'dict(collate_fn=list)'])
def test_a_real_dev_shm_that_is_too_small(tmp_path, options):
    """With torch's collation, in the worker's own memory, and with mmengine's, which shares each sample."""
    (tmp_path / 'script.py').write_text(SCRIPT.replace('**OPTIONS', f'**{options}'))
    script = f'mount -t tmpfs -o size=1m none /dev/shm && exec timeout 100 {sys.executable} script.py'
    done = subprocess.run(['unshare', '-rm', 'sh', '-c', script], capture_output=True, text=True, cwd=tmp_path)
    if 'unshare' in done.stderr or 'mount' in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    # torch says it from within the worker, too.
    assert done.stderr.count('error: /dev/shm, which processes share memory by, is too small') == 1


def test_tensors_still_come_through():
    loader = shielded(DataLoader)(torch.arange(4), num_workers=1, batch_size=2)
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]
