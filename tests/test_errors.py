import pytest
from torch.utils.data import DataLoader, Dataset

from mmsoco.errors import UserError, command, words_of


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


def test_other_exceptions_pass(capsys):
    @command
    def main():
        raise ValueError('a bug')

    with pytest.raises(ValueError, match='a bug'):
        main()
    assert capsys.readouterr().err == ''


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
