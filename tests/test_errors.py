import pytest

from mmsoco.errors import UserError, command


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
