import pytest

from mmsoco.doctor import checks, command


def test_the_exit_status_says_whether_something_is_wrong(monkeypatch, capsys):
    for found, status, words in (
        ([checks.Finding('a', '1')], 0, '   a                      1\nall is well\n'),
        ([checks.Finding('a', '1'), checks.Finding('b', '2', 'mend\nit')], 1, '!! b                      2\n'),
    ):
        monkeypatch.setattr(checks, 'examine', lambda found=found: iter(found))
        monkeypatch.setattr('sys.argv', ['mmsoco doctor'])
        with pytest.raises(SystemExit) as stop:
            command.main()
        out = capsys.readouterr().out
        assert (stop.value.code or 0) == status and words in out
    assert out.endswith('mend\\nit\n1 wrong\n')
