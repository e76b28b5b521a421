"""Promise 13: bad pictures count once each, are listed in a file, and too many end the run in one line."""

import csv
import multiprocessing
import shutil

import pytest
from in_processes import add_all

from mmsoco.datasets import TooManyBadImages
from mmsoco.datasets.bad_images import BadImage, BadImages
from mmsoco.engine.launch import train
from mmsoco.errors import UserError, command
from mmsoco.proposals.store import ProposalStore


@pytest.fixture
def gaps(images, proposal_file, tmp_path):
    """A copy of the images, three of which are gone or broken, and the names of these."""
    root = shutil.copytree(images, tmp_path / 'gaps')
    names = [row.file_name for row in ProposalStore.open(proposal_file)]
    bad = [names[i] for i in (1, 4, 6)]
    (root / bad[0]).unlink()
    (root / bad[1]).write_text('two\nlines')
    (root / bad[2]).write_bytes(b'')
    return root, bad


def lines(work_dir):
    with (work_dir / 'bad_images.csv').open(newline='') as file:
        return list(csv.reader(file))


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
def test_bad_images_are_listed_and_the_list_is_kept(recipe, tiny_options, images, gaps, tmp_path, workers):
    root, bad = gaps
    options = tiny_options | {'train_dataloader.dataset.data_root': str(root), 'train_dataloader.num_workers': workers}
    work = tmp_path / 'work'
    train(recipe, str(work), amp=False, options=options)
    head, *entries = lines(work)
    assert head == ['file_name', 'reason', 'first_epoch']
    assert sorted(entry[0] for entry in entries) == sorted(bad)
    reasons = {name: (reason, epoch) for name, reason, epoch in entries}
    assert 'No such file' in reasons[bad[0]][0] and 'not an image but text' in reasons[bad[1]][0]
    log = next(work.glob('*/*.log')).read_text()
    assert f'replaced: 3 more in epoch 1, 3 in all, listed in {work}/bad_images.csv' in log
    # A second run that goes on meets none of them, and one more.
    for name in bad:
        shutil.copy(images / name, root / name)
    (root / 'first' / '0.png').write_text('')
    good = lines(work)[1:]
    options |= {
        'train_cfg.max_epochs': 4,
        'train_dataloader.dataset.checked': 0,
        'train_dataloader.dataset.max_bad': 1.0,
    }
    train(recipe, str(work), amp=False, options=options, resume='auto', resume_anyway=True)
    assert [line for line in lines(work)[1:] if line in good] == good
    assert 'first/0.png' in [line[0] for line in lines(work)]


@pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.slow), 2])
def test_too_many_end_the_run_in_one_line_and_are_listed(recipe, tiny_options, gaps, tmp_path, capsys, workers):
    root, bad = gaps
    options = tiny_options | {
        'train_dataloader.dataset.data_root': str(root),
        'train_dataloader.dataset.min_bad': 1,
        'train_dataloader.num_workers': workers,
    }
    with pytest.raises(SystemExit) as exit_status:
        command(lambda: train(recipe, str(tmp_path / 'work'), amp=False, options=options))()
    assert exit_status.value.code == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert (
        line.startswith('error: 2 images of epoch 1 could not be read, more than the 1 allowed') and str(root) in line
    )
    assert 'Traceback' not in line
    found = [entry[0] for entry in lines(tmp_path / 'work')[1:]]
    assert len(found) >= 2 and set(found) <= set(bad)


def test_too_many_are_the_users_to_mend():
    assert issubclass(TooManyBadImages, UserError)


def test_each_counts_once_an_epoch():
    bad = BadImages(5)
    assert [bad.add(row, 1, f'{row}.jpg', 'gone') for row in (3, 3, 1, 3)] == [1, 0, 2, 0]
    # The next epoch begins, with a worker that is late.
    assert [bad.add(row, epoch, f'{row}.jpg', 'gone') for row, epoch in ((3, 2), (3, 1), (4, 2))] == [1, 0, 2]
    assert bad.take() == [BadImage('3.jpg', 'gone', 1), BadImage('1.jpg', 'gone', 1), BadImage('4.jpg', 'gone', 2)]
    assert bad.take() == []


@pytest.mark.parametrize('method', ['fork', pytest.param('spawn', marks=pytest.mark.slow)])
def test_processes_count_together(method, monkeypatch):
    # As mmengine sets it, before the data set is made.
    context = multiprocessing.get_context(method)
    for name in ('Array', 'RawValue', 'Queue'):
        monkeypatch.setattr(multiprocessing, name, getattr(context, name))
    bad, end = BadImages(500), context.Event()
    parts = (range(300), range(200, 500), range(100, 400))
    workers = [context.Process(target=add_all, args=(bad, rows, end)) for rows in parts]
    for worker in workers:
        worker.start()
    found = []
    while len(found) < 500 and any(worker.is_alive() for worker in workers):
        found += bad.take(patience=10)
    end.set()
    for worker in workers:
        worker.join(60)
    assert sorted(image.file_name for image in found) == sorted(f'{row}.jpg' for row in range(500))
    assert bad.add(0, 2, '', '') == 1 and not bad.take()


def test_a_worker_that_was_killed_before_it_said_why_is_not_waited_for():
    bad = BadImages(2)
    bad._sent.value = 1
    assert bad.take(patience=0.05) == []
