import json
import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from plans import a_plan

from mmsoco.errors import UserError
from mmsoco.pretrain.asked import Asked, Row
from mmsoco.pretrain.planning import facts_rows
from mmsoco.pretrain.running import pretrain, table


@pytest.fixture
def command(root, capsys, monkeypatch):
    """Runs the tool in this process; returns exit status, and stderr or, where it succeeds, stdout."""

    def call(*args):
        monkeypatch.setattr(sys, 'argv', ['pretrain', *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(root / 'tools/pretrain.py'), run_name='__main__')
        said = capsys.readouterr()
        return stop.value.code or 0, said.err if stop.value.code else said.out

    return call


@pytest.mark.parametrize(
    ('prepare', 'options', 'words'),
    [
        (lambda images, out: [path.unlink() for path in images.iterdir()], [], 'holds no images'),
        (lambda images, out: [path.write_text('x') for path in images.iterdir()], [], 'none of the 3 images'),
        (lambda images, out: None, [], 'of a step; give more images'),
        (lambda images, out: out.mkdir() or (out / 'thesis.tex').touch(), [], 'holds something else (thesis.tex)'),
        (lambda images, out: out.touch(), [], 'is no folder'),
        (lambda images, out: None, ['--out', 'images/out'], 'is in the folder of the images'),
        (lambda images, out: None, ['--objects', 'none.json'], 'none.json does not exist'),
        (lambda images, out: None, ['--init', 'none.pth', '--backbone', 'resnet18'], 'none.pth does not exist'),
        (lambda images, out: (out.mkdir(), (out / 'config.py').write_text('mine')), [], 'something else (config.py)'),
        (lambda images, out: None, ['--out', 'a{{b}}'], 'no config can hold it; rename it'),
        (lambda images, out: None, ['--out', os.fsdecode(b'a\xff')], 'a\\udcff has {{, or bytes'),
        (lambda images, out: None, ['--hours', '0'], '--hours 0 is no time'),
        (lambda images, out: None, ['--hours', 'inf'], '--hours inf is no time'),
        (lambda images, out: None, ['--detector', 'c4', '--backbone', 'vit-b'], '--detector c4 takes a ResNet'),
        (lambda images, out: a_plan('other').write(out.mkdir() or out), [], 'is of another pretraining (images'),
        (
            lambda images, out: a_plan(images).write(out.mkdir() or out),
            ['--size', 'small'],
            'pretraining (size None, now',
        ),
    ],
)
def test_what_cannot_be_is_one_line(command, tmp_path, monkeypatch, prepare, options, words):
    """And nothing is written."""
    monkeypatch.chdir(tmp_path)
    images, out = tmp_path / 'images', tmp_path / 'out'
    images.mkdir()
    for i in range(3):
        cv2.imwrite(str(images / f'{i}.png'), np.full((40, 40, 3), 80 * i, np.uint8))
    prepare(images, out)
    before = sorted(tmp_path.rglob('*'))
    status, err = command(images, *([] if '--out' in options else ['--out', out]), *options)
    errors = [line for line in err.splitlines() if line.startswith('error: ')]
    assert status == 2 and len(errors) == 1 and words in errors[0], err
    assert sorted(tmp_path.rglob('*')) == before


def test_a_second_call_may_come_from_another_folder(command, tmp_path, monkeypatch):
    """It finds the plan to be its own, and gives its commands what the first call meant."""
    (tmp_path / 'images').mkdir()
    for name in ('labels.json', 'w.pth'):
        (tmp_path / name).touch()
    asked = Asked(objects=str(tmp_path / 'labels.json'), init=str(tmp_path / 'w.pth'), backbone='resnet18')
    a_plan(tmp_path / 'images', asked=asked).write(tmp_path / 'out')
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')
    words = [
        '../images',
        '--out',
        '../out',
        '--objects',
        '../labels.json',
        '--init',
        '../w.pth',
        '--backbone',
        'resnet18',
    ]
    status, said = command(*words, '--dry-run')
    assert status == 0, said
    lines = [line for line in said.splitlines() if line.startswith('    ')]
    for part in (f'search {tmp_path}/images ', f'--init {tmp_path}/w.pth', f'arrow {tmp_path}/labels.json'):
        assert any(part in line for line in lines), lines


def test_folders_of_like_names_have_folders_of_their_own(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('data.v1', 'data.v2'):
        (tmp_path / name).mkdir()
        a_plan(tmp_path / name).write(tmp_path / 'work_dirs' / name)
        status, said = command(name, '--dry-run')
        assert status == 0 and f'work_dirs/{name}/proposals.arrow' in said


def test_one_call_a_folder(command, tmp_path):
    """The other one may be planning still."""
    (tmp_path / 'images').mkdir()
    held = 'from mmsoco.run_lock import RunLock; import sys, time; RunLock(sys.argv[1]).acquire(); print(flush=True); '
    words = [sys.executable, '-c', held + 'time.sleep(60)', str(tmp_path / 'out')]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        status, err = command(tmp_path / 'images', '--out', tmp_path / 'out')
        other.kill()
    assert status == 2 and 'is in use by another run' in err and '--out' in err


def test_images_that_are_gone_since_the_plan(command, tmp_path):
    """They are named before anything is searched, and the way on is."""
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/there.png').touch()
    plan = a_plan(tmp_path / 'images', facts=replace(a_plan().facts, root=str(tmp_path / 'images')))
    plan.write(tmp_path / 'out')
    (tmp_path / 'out/images.txt').write_text('there.png\ngone.png\n')
    status, err = command(tmp_path / 'images', '--out', tmp_path / 'out')
    assert status == 2 and '1 of 2 images' in err and 'gone.png; put them back' in err
    assert not (tmp_path / 'out/raw').exists() and not (tmp_path / 'out/step_1.log').exists()


def test_a_name_that_begins_with_a_dash_is_no_option(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'images').mkdir()
    a_plan(tmp_path / 'images').write(tmp_path / '-out')
    status, said = command('images', '--out=-out', '--dry-run')
    assert status == 0 and f' {tmp_path}/-out/raw ' in said


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    # Root may write anywhere.
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with pytest.raises(UserError, match='may not be written'):
        pretrain(str(tmp_path / 'images'), tmp_path / 'out', Asked())


def test_the_table_says_what_was_found():
    rows = facts_rows(a_plan().facts)
    text = table([*rows, Row('steps', 'a choice of many words ' * 4, 'a reason ' * 30)])
    assert 'unreadable' in text and '1 left out' in text and '109 of 400 x 300 px' in text
    assert max(map(len, text.splitlines())) <= 118
    assert text.count('reason') == 30 and text.count('many') == 4
    assert facts_rows(replace(a_plan().facts, notes=['passed over: 2 .gz']))[-1].choice == 'passed over: 2 .gz'


@pytest.mark.parametrize('width', [1, 40, 60])
def test_the_table_fits_as_well_as_it_can(width):
    assert table([Row('steps', 'a choice of many words ' * 4, 'a reason ' * 30)], width).count('reason') == 30


class Page(HTMLParser):
    """Tags that load something, text, and tags that were not closed."""

    VOID = {'meta', 'link', 'img', 'br'}

    def __init__(self, text):
        super().__init__()
        self.loads, self.text, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.loads += [
            value for key, value in attrs if key in ('src', 'srcset', 'data') or (tag == 'link' and key == 'href')
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


def start(root, images, out, folder):
    """The command, called from a folder, in a process group of its own."""
    paths = [os.path.relpath(path, folder) for path in (images, out)]
    words = [sys.executable, '-W', 'ignore', root / 'tools/pretrain.py', paths[0], '--out', paths[1], '--device', 'cpu']
    words += ['--batch', '8', '--steps', '4', '--view', '64', '--size', 'large']
    environment = {**os.environ, 'PYTHONPATH': str(root), 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(
        list(map(str, words)), cwd=folder, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_until(there, process):
    while not there():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)


@pytest.mark.slow
def test_from_a_folder_to_a_report_with_an_end_in_each_step_on_the_way(root, images, tmp_path):
    folder, out = tmp_path / 'some images', tmp_path / 'out'
    folder.mkdir()
    for i, path in enumerate(sorted(images.rglob('*.*'))):
        image = cv2.imread(str(path))
        cv2.imwrite(str(folder / f'{i}.png'), image)
        cv2.imwrite(str(folder / f'{i}.jpg'), image[::-1])
    whole = (folder / '0.jpg').read_bytes()
    (folder / 'half.jpg').write_bytes(whole[: len(whole) // 2])
    (folder / 'text.jpg').write_text('no image')
    (folder / 'copy.jpg').write_bytes(whole)

    ends = [
        ('search', lambda: list(out.glob('raw/shard-*')), signal.SIGKILL),
        ('drawing', lambda: list(out.glob('sizes/*')), signal.SIGTERM),
        ('training', lambda: list(out.glob('train/iter_*.pth')), signal.SIGTERM),
        ('export', lambda: list(out.glob('weights/*')), signal.SIGKILL),
    ]
    for number, (_, there, how) in enumerate(ends):
        process = start(root, folder, out, root)
        wait_until(there, process)
        (os.killpg if how == signal.SIGKILL else os.kill)(process.pid, how)
        said = process.communicate(timeout=300)[0]
        assert ('How long will it take?' in said) is (number == 0)
        if how == signal.SIGTERM:
            assert 'stopped: ' in said and process.returncode == 143, said
    # From another folder, with other words for the same paths.
    last = start(root, folder, out, tmp_path)
    said = last.communicate(timeout=600)[0]
    assert last.returncode == 0, said
    assert 'How long will it take?' not in said and 'search for boxes: done already' in said
    assert 'half.jpg' not in (out / 'images.txt').read_text() and 'text.jpg' not in (out / 'images.txt').read_text()
    assert '2 passed over' in said and '1 left out' in said and '--size large' in said

    assert {path.name for path in out.glob('weights/*')} == {'mmdet.pth', 'mmdet_one_stage.pth'}
    assert not [path for path in folder.iterdir() if path.suffix not in ('.png', '.jpg')]
    page_text = (out / 'report.html').read_text()
    page = Page(page_text)
    text = ' '.join(' '.join(page.text).split())
    assert not page.open and page.loads and all(value.startswith('data:') for value in page.loads)
    assert 'http:' not in page_text and 'https:' not in page_text
    scalars = [json.loads(line) for path in sorted(out.glob('train/*/vis_data/scalars.json')) for line in path.open()]
    losses = {entry['step']: entry['loss'] for entry in scalars if 'loss' in entry}
    assert set(losses) == {1, 2, 3, 4} and f' {losses[1]:.2f} {losses[4]:.2f} ' in text
    probe = json.loads((out / 'train/probe.json').read_text())
    assert [entry['step'] for entry in probe['curve']] == [1, 2, 3, 4]
    last = probe['curve'][-1]['figures']['head']
    assert f'{100 * last["top1"]:.2f} % {100 * probe["random"]["head"]["top1"]:.2f} %' in text
    for line in (out / 'mmdet_lines.py').read_text().splitlines():
        assert line in page_text.replace('&#39;', "'").replace('&quot;', '"').replace('&#34;', '"')
    assert page_text.count('data:image/jpeg') >= 8 + 9 + 1 and page_text.count('<svg') == 6
