import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from plans import a_plan

from mmsoco.errors import UserError
from mmsoco.pretrain.choice import Asked, Network
from mmsoco.report.content import read_content
from mmsoco.report.page import render, whole_options, write_report

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


def stage(share):
    return dict(top1=share, top5=share, own_image=share, chance_top1=0.005, chance_top5=0.025, chance_own_image=0.1)


@pytest.fixture
def work(tmp_path, proposal_file):
    """The work folder of a training that somebody did not run."""
    folder = tmp_path / 'train'
    visible = folder / '20260101_000000/vis_data'
    (visible / 'vis_image').mkdir(parents=True)
    rows = [
        {'step': step, 'loss': 20 - step / 10, 'learned_v1_v2': step / 123, 'match_top1_v1_v2': step / 150,
         'chance_top1_v1_v2': 0.0078, 'time': 1.5}
        for step in (25, 50, 75, 100)
    ]  # fmt: skip
    (visible / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    (visible / 'config.py').write_text(f'train_dataloader = dict(dataset=dict(proposal_file={str(proposal_file)!r}))\n')
    sheet = np.full((90, 260, 3), 255, np.uint8)
    sheet[6:84, 6:150] = 90
    for step in (0, 50):
        cv2.imwrite(str(visible / f'vis_image/matched_boxes_{step}.png'), sheet)
    curve = [dict(step=step, figures=dict(neck=stage(step / 1234), head=stage(step / 777))) for step in (50, 100)]
    (folder / 'probe.json').write_text(json.dumps(dict(random=dict(neck=stage(0.011), head=stage(0.022)), curve=curve)))
    log = '- WARNING - The network predicts the mean target: early\n- INFO - Learning, mean of 50 steps: x\n'
    (visible.parent / 'run.log').write_text(
        f'{log}- INFO - The probe has stopped rising: since step 50\n- INFO - Learning, mean of 50 steps: y\n'
        '- WARNING - The network tells images apart, not the boxes of an image: late <b>\n'
    )
    (folder / 'iter_100.pth').touch()
    return folder


class Text(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.words, self.ids = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.ids += [value for key, value in attrs if key == 'id']

    def handle_data(self, data):
        self.words.append(data)

    def __str__(self):
        return ' '.join(' '.join(self.words).split())


def test_a_training_alone_has_a_report(work):
    page = write_report(work).read_text()
    text = str(Text(page))
    assert 'loss 17.50 10.00' in text and 'learned, v1-v2 0.20 0.81 0' in text
    assert 'own nearest, v1-v2 16.7 % 66.7 % 0.78 %' in text
    assert 'FPN 8.10 % 1.10 % 0.50 %' in text and 'box head 12.87 % 2.20 % 0.50 %' in text
    assert '12.9 % of held-out boxes found again' in text and 'by chance 0.50 %' in text
    # What it said at the end, and what it ever said of the probe.
    assert 'late <b>' in text and 'early' not in text and 'stopped rising: since step 50' in text
    assert f"load_from = '{work}/iter_100.pth'" in text
    assert page.count('<svg') == 2 + 4 and page.count('data:image/jpeg') == 8 + 1
    assert 'Step 51.' in text


def test_the_page_asks_for_nothing_and_no_name_is_twice_on_it(work):
    page = write_report(work).read_text()
    assert not re.search(r'https?:|//[a-z]', re.sub(r'data:image/jpeg;base64,[^"]*', '', page))
    ids = Text(page).ids
    assert len(set(ids)) == len(ids) and len(ids) > 20
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert used <= set(ids)
    # Colours are the page's own, so that they change with its scheme.
    assert not re.search(r'#0000[0-9a-f]{2}', page) and 'var(--first)' in page
    assert '@media (prefers-color-scheme: dark)' in page


def test_what_was_planned_is_told(work, proposal_file, tmp_path):
    a_plan(tmp_path / 'some <images>').write(tmp_path)
    (tmp_path / 'weights').mkdir()
    (tmp_path / 'weights/mmdet.pth').write_bytes(b'x' * 1_500_000)
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'recall.json').write_text(json.dumps([{'objects': 'all', 'count': 1234, '0.50': 0.7654}]))
    shutil.copy(proposal_file, tmp_path / 'proposals.arrow')
    page = render(replace(read_content(tmp_path), failures=[('a<b>.jpg', 'broken')], failed=3))
    text = str(Text(page))
    assert 'on some <images>' in text and '<images>' not in page and 'a<b>.jpg' in text
    assert 'to train on 109' in text and 'The others are in raw/failures.csv' in text
    assert 'weights/mmdet.pth 1.5 MB' in text and 'weights/mmdet_one_stage.pth not written yet' in text
    assert 'detectron2 - none: no model there has half the width' in text
    assert 'cover 76.5 % of 1,234' in text
    assert '60.0 % 30.0 % 40.0 % 21.5' in text and 'tools/train.py' in text


def test_options_stay_whole_and_others_words_are_escaped():
    assert whole_options('a<b> --min-side 3') == 'a&lt;b&gt; <span class="option">--min-side</span> 3'


def test_of_a_plan_alone(tmp_path):
    """As before the search: sections without anything are left out."""
    a_plan(asked=Asked(objects='x.json'), network=Network('c4', 'resnet50')).write(tmp_path)
    text = str(Text(render(read_content(tmp_path))))
    assert 'Learning' not in text and 'Proposals' not in text and 'detectron2: R-CNN with C4' in text


def test_no_pretraining(tmp_path):
    with pytest.raises(UserError, match='holds no pretraining; name its work folder'):
        write_report(tmp_path)
    with pytest.raises(UserError, match='holds no pretraining'):
        write_report(tmp_path / 'none')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed (apt-get install chromium)')
@pytest.mark.parametrize('scheme', ['dark', 'light'])
def test_a_browser_shows_it(work, tmp_path, scheme):
    """Without a word on its console, as narrow as a phone without scrolling sideways, in both schemes."""
    a_plan(tmp_path / 'images').write(tmp_path)
    page = tmp_path / 'page.html'
    # What is wider than the window is told by the title.
    script = (
        '<script>addEventListener("load", () => { document.title = [document.documentElement.scrollWidth, '
        'innerWidth, getComputedStyle(document.body).backgroundColor].join("/") })</script></body>'
    )
    page.write_text(render(read_content(tmp_path)).replace('</body>', script))
    colors = set()
    for width in (400, 1400):
        command = [
            CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr',
            f'--window-size={width},900',
            f'--blink-settings=preferredColorScheme={int(scheme == "light")}', f'--user-data-dir={tmp_path}/profile',
            '--virtual-time-budget=2000', '--dump-dom', f'file://{page}',
        ]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0 and 'CONSOLE' not in run.stderr, run.stderr
        wide, window, color = re.search('<title>(.*?)</title>', run.stdout)[1].split('/')
        assert int(wide) <= int(window), f'{wide} px in a window of {window}'
        colors.add(color)
    assert colors == {'rgb(21, 23, 26)' if scheme == 'dark' else 'rgb(253, 253, 252)'}
