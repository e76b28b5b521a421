import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmsoco import steps
from mmsoco.errors import UserError
from mmsoco.resources import shipped
from mmsoco.steps import Step, duration, in_words, read_times, run_logged, run_steps


def script(path, text):
    path.write_text(text)
    return str(path)


def test_failed_command_names_its_log(tmp_path):
    fails = script(tmp_path / 'fails.py', 'print("because"); raise SystemExit(3)')
    with pytest.raises(UserError, match=r'failed with status 3; see above, and .*step\.log'):
        run_logged(fails, tmp_path / 'step.log')
    assert (tmp_path / 'step.log').read_text() == 'because\n'


def test_output_may_be_any_bytes(tmp_path):
    """As names of files may be."""
    prints = script(tmp_path / 'prints.py', 'import sys; sys.stdout.buffer.write(b"a\\xff\\n")')
    assert run_logged(prints, tmp_path / 'log') == 'a\N{REPLACEMENT CHARACTER}\n'


def test_what_is_done_is_skipped(tmp_path):
    makes = script(tmp_path / 'makes.py', 'import pathlib, sys; pathlib.Path(sys.argv[1]).mkdir(); print("made")')
    chain = [Step(name, '', (f'{makes} {tmp_path / name}',), tmp_path / name) for name in ('one', 'two words')]
    chain[1] = Step('two', 'no time', (f"{makes} '{tmp_path / 'two words'}'",), tmp_path / 'two words')
    said = []
    run_steps(chain, tmp_path, said.append, total=5, first=3)
    assert said[0] == '[3/5] one' and said[1] == f'    python {makes} {tmp_path / "one"}'
    assert said[2] == '[4/5] two (no time)'
    assert (tmp_path / 'step_3.log').read_text() == 'made\n' and set(read_times(tmp_path)) == {'one', 'two'}
    (tmp_path / 'one').rmdir()
    said.clear()
    run_steps(chain, tmp_path, said.append)
    assert said[0].startswith('[1/2] one') and said[1:] == [
        f'    python {makes} {tmp_path / "one"}', '[2/2] two: done already'
    ]  # fmt: skip


def test_a_result_that_has_served_is_not_missed(tmp_path):
    makes = script(tmp_path / 'makes.py', 'import pathlib, sys; pathlib.Path(sys.argv[1]).touch()')
    boxes, weights = tmp_path / 'boxes', tmp_path / 'weights'
    train = Step('train', '', (f'{makes} {weights}',), weights)
    chain = [Step('search', '', (f'{makes} {boxes}',), boxes, serves=train), train]
    run_steps(chain, tmp_path, [].append)
    boxes.unlink()
    said = []
    run_steps(chain, tmp_path, said.append)
    assert all(line.endswith('done already') for line in said) and not boxes.exists()


def test_times_are_those_of_all_calls(tmp_path):
    """Also of one that ended before the step was done."""
    twice = script(
        tmp_path / 'twice.py',
        'import pathlib, sys, time\ntime.sleep(0.3)\nfirst, second = map(pathlib.Path, sys.argv[1:])\n'
        'done = second if first.exists() else first\ndone.touch()\nsys.exit(3 if done == first else 0)',
    )
    chain = [
        Step('two', 'about an hour', (f'{twice} {tmp_path / "first"} {tmp_path / "second"}',), tmp_path / 'second')
    ]
    said = []
    with pytest.raises(UserError):
        run_steps(chain, tmp_path, said.append)
    first = read_times(tmp_path)['two']
    run_steps(chain, tmp_path, said.append)
    assert 0.3 <= first and first + 0.3 <= read_times(tmp_path)['two'] < 60
    assert said[0] == '[1/1] two (about an hour)' and said[2] == '[1/1] two (about an hour, 5 seconds of it before)'


def test_another_projects_script_of_the_same_name_is_not_run(tmp_path, monkeypatch):
    """As in a checkout of mmdetection, whose training is tools/train.py, too."""
    for name in ('tools/train.py', 'data_pipelines/filter_proposals.py'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text('print("of mmdetection")')
    monkeypatch.chdir(tmp_path)
    assert in_words('tools/train.py --help') == 'mmsoco train --help'
    assert '--min-side' in run_logged('data_pipelines/filter_proposals.py --help', tmp_path / 'log')


def test_processes_are_started_by_the_same_python(tmp_path):
    shows = script(tmp_path / 'shows.sh', 'echo $PYTHON')
    assert run_logged(shows, tmp_path / 'log') == f'{sys.executable}\n'


@pytest.mark.parametrize(
    ('handler', 'printed'),
    [('lambda *_: (time.sleep(0.3), print("saved", flush=True), sys.exit(143))', 'saved\n'), ('signal.SIG_DFL', '')],
)
def test_a_stopped_step_is_waited_for(tmp_path, handler, printed):
    """SIGTERM goes on to the command, which has the time to end as it wants to, or ends at once."""
    slow = script(
        tmp_path / 'slow.py',
        'import signal, sys, time, pathlib\n'
        f'signal.signal(signal.SIGTERM, {handler})\n'
        f'pathlib.Path({str(tmp_path / "begun")!r}).touch()\n'
        'time.sleep(60)\n',
    )
    text = (
        'from pathlib import Path\nfrom mmsoco.errors import command\nfrom mmsoco.steps import run_logged\n'
        f'command(lambda: run_logged({slow!r}, Path({str(tmp_path / "log")!r})))()'
    )
    environment = {**os.environ, 'PYTHONPATH': str(Path(steps.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, '-c', text], stderr=subprocess.PIPE, text=True, env=environment)
    while not (tmp_path / 'begun').exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1] == 'stopped: the same command goes on where it was\n'
    assert process.returncode == 143 and (tmp_path / 'log').read_text() == printed


def test_scripts_are_found_outside_of_the_checkout(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    assert in_words('tools/train.py config.py') == 'python tools/train.py config.py'
    assert in_words('tools/dist_train.sh config.py 8') == 'bash tools/dist_train.sh config.py 8'
    monkeypatch.chdir(tmp_path)
    assert in_words('tools/train.py config.py') == 'mmsoco train config.py'
    line = "tools/dist_train.sh 'a config.py' 8 --resume"
    assert in_words(line) == "mmsoco train 'a config.py' --resume --processes 8"
    assert shipped('tools/train.py').samefile(root / 'tools/train.py')
    with pytest.raises(UserError, match=r'tools/none\.py is not there'):
        shipped('tools/none.py')


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (1, '5 seconds'),
        (42, '40 seconds'),
        (100, '2 minutes'),
        (5000, '83 minutes'),
        (9000, '2.5 hours'),
        (4e5, '4.6 days'),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize('text', ['', '{"one": 3', '[3]', '{"one": null}'])
def test_damaged_times_are_none(tmp_path, text):
    (tmp_path / 'times.json').write_text(text)
    assert read_times(tmp_path) == {}
