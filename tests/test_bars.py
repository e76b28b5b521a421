import io
import re
import sys

import pytest

from mmsoco.bars import passing_bar, progress_bar, speed


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_it_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', shown := Terminal())
    with progress_bar('image', 40, 10, every=1e-9) as bar:
        bar.set_postfix_str('2 failed', refresh=False)
        bar.update(10)
    assert shown.getvalue().count('\n') == 1
    first, *_, last = shown.getvalue().strip().split('\r')[:3]
    assert first.startswith(' 25%|') or '10/40 [' in first
    assert '20/40 [' in shown.getvalue() and ', 2 failed]' in last


def test_elsewhere_it_is_a_line_a_refresh_and_none_twice(capsys):
    with progress_bar('image', 4, every=1e-9) as bar:
        assert speed(bar) == ''
        for _ in range(4):
            bar.set_postfix_str('2 failed', refresh=False)
            bar.update()
        assert speed(bar, 8, 'boxes') == f'{8 * bar.format_dict["rate"]:.3g} boxes/s'
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(',')[0] for line in lines] == [f'{i}/4 images' for i in range(5)]
    assert lines[-1].endswith('00:00 left, 2 failed')


@pytest.mark.parametrize(('stream', 'seconds'), [(Terminal(), 1), (io.StringIO(), 30)])
def test_logs_are_not_filled(monkeypatch, stream, seconds):
    monkeypatch.setattr(sys, 'stderr', stream)
    with progress_bar('image', 4) as bar:
        assert bar.mininterval == seconds


def test_a_passing_bar_counts_each_round_from_its_start_and_goes(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', shown := Terminal())
    # tqdm shows at most ten a second.
    monkeypatch.setattr('tqdm.std.time', iter(range(1, 1000)).__next__)
    with passing_bar('try', 'image') as on_progress:
        for done, total in ((2, 4), (4, 4), (1, 8), (8, 8)):
            on_progress(done, total)
    assert list(dict.fromkeys(re.findall(r'\d/\d', shown.getvalue()))) == ['2/4', '4/4', '0/8', '1/8', '8/8']
    assert not shown.getvalue().split('\r')[-1].strip()


def test_a_passing_bar_leaves_logs_alone(capsys):
    with passing_bar('try', 'image') as on_progress:
        on_progress(1, 2)
    assert capsys.readouterr().err == ''
