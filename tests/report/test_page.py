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
from mmsoco.images.tiles import Tiling
from mmsoco.pretrain.asked import Asked
from mmsoco.pretrain.networks import Network
from mmsoco.pretrain.proposals import Search
from mmsoco.report.page import render, whole_options, write_report
from mmsoco.report.reading import read_content

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
    probe = dict(asked=200, random=dict(neck=stage(0.011), head=stage(0.022)), curve=curve)
    (folder / 'probe.json').write_text(json.dumps(probe))
    (visible.parent / 'run.log').write_text(
        '- INFO - Learning, mean of 50 steps: x\n- WARNING - The network predicts the mean target: early\n'
        '- INFO - Probe of held-out images: x\n- INFO - The probe has stopped rising: since step 10\n'
        '- INFO - Learning, mean of 50 steps: y\n'
        '- WARNING - The network tells images apart, not the boxes of an image: late <b>\n'
        '- INFO - Probe of held-out images: y\n- INFO - The probe has stopped rising: since step 50\n'
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
    assert '12.9 % of 200 held-out boxes found again in another view, give or take 2.4 %' in text
    assert '2.2 % by random weights, and 0.50 % by chance' in text and 'no difference' not in text
    assert 'the first two columns are alike' in text
    # What it said at the end.
    assert 'late <b>' in text and 'early' not in text and 'since step 50' in text and 'since step 10' not in text
    assert 'images with boxes 8' in text and 'of these trained on 8 held out to measure 0' in text
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
    assert f'Trained on the images in {tmp_path}/some <images>' in text and '<images>' not in page
    assert 'a<b>.jpg' in text and 'And 2 more: see raw/failures.csv' in text
    assert 'weights/mmdet.pth 1.5 MB' in text and 'weights/mmdet_one_stage.pth not written yet' in text
    assert 'torchvision, timm, detectron2 - none: no model there has half the width' in text
    assert 'cover 76.5 % of 1,234' in text
    assert '60.0 % 30.0 % 40.0 % 21.5' in text and 'tools/train.py' in text


def test_a_tenth_that_is_held_out_is_not_trained_on(work, proposal_file):
    config = next(work.glob('*/vis_data/config.py'))
    config.write_text(f'train_dataloader = dict(dataset=dict(proposal_file={str(proposal_file)!r}, held_out=4))\n')
    text = str(Text(render(read_content(work))))
    assert 'images with boxes 8' in text and 'of these trained on 6 held out to measure 2' in text


def test_images_that_cannot_be_read_are_those_of_the_plan_and_of_the_search(tmp_path):
    a_plan().write(tmp_path)
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw/failures.csv').write_text('file_name,reason\nlate.jpg,"cut, off"\n<b>.jpg,again\nhalf.jp')
    content = read_content(tmp_path)
    assert content.failures == [
        ('<b>.jpg', 'not an image but text'), ('late.jpg', 'cut, off'), ('half.jp', '')
    ] and content.failed == 3  # fmt: skip
    assert 'cannot be read 3' in str(Text(render(content)))
    # Of an image that is searched in tiles, one may fail of many, each by its own name.
    a_plan(search=Search(100, 20, tile=512)).write(tmp_path)
    (tmp_path / 'raw/failures.csv').write_text(f'file_name,reason\n"{Tiling(32).names("a.tif", 40, 32)[0]}",x\n')
    assert [name for name, _ in read_content(tmp_path).failures] == ['<b>.jpg', 'a.tif']


def test_a_run_that_began_with_weights_is_held_against_itself(work):
    config = next(work.glob('*/vis_data/config.py'))
    config.write_text("load_from = 'some/imagenet.pth'\n" + config.read_text())
    text = str(Text(render(read_content(work))))
    assert 'This run began with imagenet.pth' in text and '6.4 % by itself, in step 50' in text
    assert 'FPN 8.10 % 4.05 % 0.50 %' in text and 'box head 12.87 % 6.44 % 0.50 %' in text
    assert 'random weights' not in text and 'columns are alike' not in text
    # One that goes on begins with its own, which says nothing of the first.
    config.write_text(f'resume = True\n{config.read_text()}')
    assert 'by random weights' in str(Text(render(read_content(work))))


def test_few_boxes_show_no_difference(work):
    probe = json.loads((work / 'probe.json').read_text())
    (work / 'probe.json').write_text(json.dumps(probe | {'asked': 12}))
    text = str(Text(render(read_content(work))))
    assert 'of 12 held-out boxes' in text and 'give or take 9.7 %' in text and 'so few boxes show no difference' in text


def test_a_verdict_on_the_probe_that_later_ones_overtook_is_not_told(work):
    log = work / '20260101_000000/run.log'
    log.write_text(f'{log.read_text()}- INFO - Probe of held-out images: it rose\n')
    assert 'stopped rising' not in render(read_content(work))


def test_damaged_files_are_told_nothing_of(work, proposal_file, tmp_path):
    a_plan().write(tmp_path)
    visible = next(work.glob('*/vis_data'))
    (visible / 'scalars.json').write_text((visible / 'scalars.json').read_text()[:-20])
    (visible / 'config.py').write_text('train_dataloader = dict(')
    sheet = visible / 'vis_image/matched_boxes_50.png'
    sheet.write_bytes(sheet.read_bytes()[:30])
    cv2.imwrite(str(visible / 'vis_image/matched_boxes_100.png'), np.full((90, 260, 3), 255, np.uint8))
    (work / 'probe.json').write_text('{"random": ')
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'sizes').mkdir()
    for name in ('times.json', 'recall.json', 'raw/failures.csv', 'sizes/small.arrow'):
        (tmp_path / name).touch()
    (tmp_path / 'proposals.arrow').write_bytes(proposal_file.read_bytes()[:100])
    text = str(Text(write_report(tmp_path).read_text()))
    assert 'loss 17.50 12.50' in text and 'Step 1.' in text and 'Proposals' not in text and 'Held-out' not in text
    # With proposals, of a search that was thrown away.
    shutil.copy(proposal_file, tmp_path / 'proposals.arrow')
    text = str(Text(write_report(tmp_path).read_text()))
    assert 'Proposals' in text and 'kept: mean' in text and 'searched: mean' not in text


def test_times_are_beside_what_was_expected(tmp_path):
    plan = a_plan()
    plan.write(tmp_path)
    (tmp_path / 'times.json').write_text(json.dumps({'search for boxes': 3700.4, 'filter them': 2}))
    assert read_content(tmp_path).times == [
        ('search for boxes', '1:01:40', 'about 30 seconds'), ('filter them', '0:00:02', ''), ('together', '1:01:42', '')
    ]  # fmt: skip


def test_options_stay_whole_and_others_words_are_escaped():
    assert whole_options('a<b> --min-side 3') == 'a&lt;b&gt; <span class="option">--min-side</span> 3'
    assert whole_options('v1-v2') == '<span class="option">v1-v2</span>' != whole_options('ResNet-18')


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
