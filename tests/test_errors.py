import errno
import multiprocessing
import re
from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader, Dataset

from mmsoco.errors import (
    UserError,
    command,
    is_of_shared_memory,
    leave_with,
    preparation_over,
    rank,
    reason,
    suspect,
    words_of,
)


def test_a_user_error_is_one_line_on_stderr_and_exit_status_2(capsys):
    @command
    def main():
        raise UserError('the folder is empty; name another')

    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2
    captured = capsys.readouterr()
    assert captured.err == 'error: the folder is empty; name another\n'
    assert captured.out == ''


def failing(error, begun=False):
    @command
    def main():
        if begun:
            preparation_over()
        raise error

    return main


def test_other_exceptions_pass_once_the_work_has_begun(capsys, monkeypatch):
    with pytest.raises(ValueError, match='a bug'):
        failing(ValueError('a bug'), begun=True)()
    assert capsys.readouterr().err == ''


def test_a_traceback_is_shown_behind_the_line(capsys, monkeypatch):
    """By then the processes of a run have agreed to end."""
    said = []
    company = SimpleNamespace(leave=lambda kind, line, status: said.append(line) or status)
    monkeypatch.setenv('MMSOCO_TRACEBACK', '1')

    @command
    def main():
        leave_with(company)
        raise ValueError('a bug')

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and said[0].startswith('ValueError: a bug (in ')
    assert capsys.readouterr().err.splitlines()[-1] == 'ValueError: a bug'
    with pytest.raises(SystemExit):
        failing(ValueError('a bug'))()
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith('error: ValueError: a bug (in ') and last == 'ValueError: a bug'


def test_mpiruns_processes_in_one_task_of_slurm(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    monkeypatch.setenv('SLURM_PROCID', '0')
    monkeypatch.setenv('OMPI_COMM_WORLD_RANK', '3')
    assert rank() == 3


def test_before_that_they_are_one_line_with_their_place(capsys):
    with pytest.raises(SystemExit) as stop:
        failing(ValueError('two\nlines'))()
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert re.fullmatch(r'error: ValueError: two \(in .*test_errors.py, line \d+\); correct the config, .*\n', line)

    @command
    def main():
        suspect('a was 1')
        raise ValueError

    for _ in range(2):  # suspects are those of one run
        with pytest.raises(SystemExit):
            main()
        assert '; a was 1 (MMSOCO' in capsys.readouterr().err


@pytest.mark.parametrize(
    'error',
    [
        OSError(errno.ENOSPC, 'No space left on device', 'here'),
        OSError(errno.EROFS, 'Read-only file system'),
        RuntimeError('[enforce fail at x.cc:1] . PytorchStreamWriter failed writing file data/0'),
    ],
)
def test_a_full_disk_is_one_line_at_any_time(capsys, error):
    with pytest.raises(SystemExit) as stop:
        failing(error, begun=True)()
    line = capsys.readouterr().err
    assert stop.value.code == 2 and line.startswith('error: the disk') and line.count('\n') == 1
    with pytest.raises(PermissionError):
        failing(PermissionError(errno.EACCES, 'no'), begun=True)()


def test_other_processes_name_themselves_and_leave_the_first_one_time(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '3')
    waited = []
    monkeypatch.setattr('mmsoco.errors.time.sleep', waited.append)
    with pytest.raises(SystemExit):
        failing(UserError('no'))()
    assert capsys.readouterr().err == 'error: process 3: no\n' and waited == [3]


@pytest.mark.parametrize(
    ('error', 'expected'),
    [
        (KeyError('a b'), 'KeyError: a b'),
        (KeyError('ab'), "KeyError: 'ab'"),
        (ValueError(), 'ValueError'),
        (FileNotFoundError(2, 'No such file', 'x.json'), 'x.json: No such file'),
        (RuntimeError('does not fit:\n\tthis\n\tthat'), 'RuntimeError: does not fit: this'),
        (RuntimeError('Short. ' + 'b' * 300), 'RuntimeError: Short.'),
        (RuntimeError('Caught\nOriginal Traceback\n  x\nKeyError: 3'), 'KeyError: 3'),
    ],
)
def test_an_exception_in_one_line(error, expected):
    assert reason(error) == expected


class Mute(Exception):
    def __str__(self):
        raise RuntimeError('broken')


@pytest.mark.parametrize(
    ('error', 'line', 'bare'),
    [
        (OSError(errno.EIO, None, 'x.jpg'), 'x.jpg: Input/output error', 'Input/output error'),
        (OSError(errno.EIO, '', 'x.jpg'), 'x.jpg: Input/output error', 'Input/output error'),
        (OSError(errno.EIO, b'broken', b'x\xff.jpg'), 'x\\xff.jpg: broken', 'broken'),
        (OSError(errno.EIO, 'a', 'x\ny\u202f\udcff'), 'x\\ny\\u202f\\udcff: a', 'a'),
        (OSError(), 'OSError', 'OSError'),
        (OSError('cannot identify image file'), 'OSError: cannot identify image file', 'cannot identify image file'),
        (OSError(None, None, 'x.jpg'), 'x.jpg: OSError', 'OSError'),
        (OSError('odd', None), 'OSError', 'OSError'),
        (FileNotFoundError(2, 'No such file', 'x'), 'x: No such file', 'No such file'),
        (ValueError('\n\n two\nlines'), 'ValueError: two', 'two'),
        (ValueError(b'bytes \xff\nmore'), 'ValueError: bytes \\xff', 'bytes \\xff'),
        (ValueError('\x1b[31mred\x07'), 'ValueError: \\x1b[31mred\\x07', '\\x1b[31mred\\x07'),
        (ValueError('   '), 'ValueError', 'ValueError'),
        (Mute(), 'Mute', 'Mute'),
    ],
)
def test_whatever_an_exception_holds(error, line, bare, capsys):
    assert (reason(error), reason(error, bare=True)) == (line, bare)
    with pytest.raises(SystemExit):
        failing(error)()
    assert capsys.readouterr().err.startswith(f'error: {line} (in ')


def test_a_message_of_several_lines_is_shown_in_one(capsys):
    with pytest.raises(SystemExit):
        failing(UserError('a\nb.jpg is broken'))()
    assert capsys.readouterr().err == 'error: a\\nb.jpg is broken\n'


@pytest.mark.parametrize(
    'words',
    [
        'unable to open shared memory object </torch_9_1_0> in read-write mode: No space left on device (28)',
        'unable to allocate shared memory(shm) for file </torch_9_1_0>: No space left on device (28)',
        'unable to write to file </torch_9_1_0>: No space left on device (28)',
        'unable to mmap 1024 bytes from file </torch_9_1_0>: Cannot allocate memory (12)',
        "DataLoader worker (pid 9) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        'shared memory. Please try to raise your shared memory limit.',
        'Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).',
        'Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n'
        'RuntimeError: unable to open shared memory object </torch_1>: Permission denied (13)',
    ],
)
def test_too_little_shared_memory_is_one_line_at_any_time(words, capsys):
    with pytest.raises(SystemExit) as stop:
        failing(RuntimeError(words), begun=True)()
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and line.startswith('error: /dev/shm, which processes share memory by, is too small')
    assert '--ipc=host' in line and '--shm-size' in line and 'num_workers=0' in line


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS, errno.ENOSYS, errno.EACCES])
def test_semaphores_are_no_disk(number, capsys, monkeypatch):
    def refuse(*args):
        raise OSError(number, 'no')

    monkeypatch.setattr('multiprocessing.synchronize._multiprocessing.SemLock', refuse)

    @command
    def main():
        preparation_over()
        multiprocessing.Lock()

    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.startswith('error: /dev/shm, which')


def test_other_memory_is_not_that_of_processes():
    for words in ('out of resource: shared memory, Required: 9', 'CUDA error: too much shared memory', 'out of memory'):
        assert not is_of_shared_memory(RuntimeError(words))


@pytest.mark.parametrize('status', [None, 0, 3])
def test_the_result_is_the_exit_status(status):
    @command
    def main():
        return status

    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == status


class Broken(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise UserError('the transform Bad draws from somewhere: mend it')


def test_an_error_of_a_loaders_worker_is_one_line():
    """torch wraps it into the worker's traceback."""
    with pytest.raises(UserError) as caught:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert '\n' in str(caught.value)
    assert words_of(caught.value) == 'the transform Bad draws from somewhere: mend it'
    assert words_of(UserError('a: b')) == 'a: b'


@pytest.mark.parametrize(
    ('error', 'shown'),
    [
        (RuntimeError('[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:2'), True),
        (ConnectionResetError('reset'), True),
        (RuntimeError('CUDA error: unspecified launch failure'), True),
        (RuntimeError('CUDA out of memory. Tried to allocate 2 GiB'), False),
        (RuntimeError('mat1 and mat2 shapes cannot be multiplied'), False),
    ],
)
def test_lost_processes_are_no_mistakes_of_the_user(error, shown, capsys):
    """A launcher starts them again; what ends with 2 it does not."""

    @command
    def main():
        raise error

    with pytest.raises(type(error) if shown else SystemExit):
        main()
    assert ('correct the config' in capsys.readouterr().err) == (not shown)


@pytest.mark.parametrize(
    'name, shown',
    [
        ('torch', True),
        ('mmcv._ext', True),
        ('jinja2', True),
        ('scipy', True),
        ('mmdet.nothing', False),
        ('mine', False),
    ],
)
def test_what_is_not_installed_names_the_command_that_installs_it(name, shown, capsys):
    @command
    def main():
        try:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        except ModuleNotFoundError as error:
            raise UserError('a.py cannot be read') from error

    with pytest.raises(SystemExit) as stop:
        main()
    words = capsys.readouterr().err
    assert stop.value.code == 2 and words.count('\n') == 1
    assert words.startswith(
        f"error: No module named '{name}'; mmsoco doctor" if shown else 'error: a.py cannot be read'
    )
