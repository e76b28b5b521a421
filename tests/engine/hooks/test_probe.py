import json
import re
from types import SimpleNamespace

import pytest

from mmsoco.engine.hooks.probe import ProbeHook, stopped_rising
from mmsoco.engine.launch import train
from mmsoco.errors import UserError


@pytest.fixture
def options(tiny_options):
    """Two epochs of one step on six images; the two others are held out."""
    hook = dict(type='ProbeHook', interval=1, images=4, boxes=20)
    return {**tiny_options, 'default_hooks.probe': hook, 'default_hooks.checkpoint.interval': 1}


def curve(work_dir):
    return json.loads((work_dir / 'probe.json').read_text())


def test_held_out_images_are_measured_and_not_trained_on(recipe, options, tmp_path):
    runner = train(recipe, str(tmp_path), amp=False, options=options)
    assert len(runner.train_dataloader.dataset) == 6
    content = curve(tmp_path)
    assert [entry['step'] for entry in content['curve']] == [1, 2]
    last = content['curve'][-1]['figures']['embedding']
    # Boxes of the two images that are held out, of which some lie on others.
    assert 0 < content['asked'] <= 2 * 20
    assert 0 <= last['top1'] <= last['top5'] <= 1 and set(last) == set(content['random']['embedding'])
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert log.count('Probe of held-out images: own box nearest of') == 2 and '(random weights' in log
    # How random weights are made is no news.
    assert 'init_weights' not in log.split('Learning rate: ')[1]
    scalars = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).open()]
    assert any('probe/embedding_top1' in entry for entry in scalars)
    assert (tmp_path / 'probe.png').stat().st_size > 5000


@pytest.mark.slow
def test_measuring_changes_nothing(recipe, options, tmp_path):
    """The same run with the hook at its end alone has the same weights and random state."""
    train(recipe, str(tmp_path / 'often'), amp=False, options=options)
    options['default_hooks.probe']['interval'] = 100
    train(recipe, str(tmp_path / 'once'), amp=False, options=options)
    often, once = (json.loads((tmp_path / name / 'record_0.json').read_text()) for name in ('often', 'once'))
    assert often == once
    assert len(curve(tmp_path / 'once')['curve']) == 1


@pytest.mark.slow
def test_a_resumed_curve_goes_on(recipe, options, tmp_path):
    train(recipe, str(tmp_path / 'run'), amp=False, options=options)
    whole = curve(tmp_path / 'run')
    train(recipe, str(tmp_path / 'run'), resume=str(tmp_path / 'run/epoch_1.pth'), amp=False, options=options)
    again = curve(tmp_path / 'run')
    assert [entry['step'] for entry in again['curve']] == [1, 2]
    assert again['random'] == whole['random'] and again['curve'] == whole['curve']


def test_images_that_are_trained_on_are_refused(recipe, options, tmp_path, monkeypatch):
    monkeypatch.setattr('mmsoco.engine.launch.hold_out', lambda cfg: None)
    with pytest.raises(UserError, match=r'ProbeHook holds out 4, the data set None; start by mmsoco train'):
        train(recipe, str(tmp_path), amp=False, options=options)


def test_two_answers_to_which_images_are_held_out(recipe, options, tmp_path):
    options['train_dataloader.dataset.held_out'] = 3
    with pytest.raises(UserError, match='the data set holds out 3, ProbeHook 4; hold out the same'):
        train(recipe, str(tmp_path), amp=False, options=options)


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ([0.01, 0.3, 0.301, 0.302, 0.303], r'stopped rising: since step 2 \(30\.0%\)'),
        ([0.01, 0.01, 0.012, 0.011, 0.01], 'has not risen above random weights'),
        ([0.01, 0.1, 0.2, 0.3, 0.4], None),
    ],
)
def test_a_word_at_the_end_of_a_rise(values, words):
    said = []
    hook = ProbeHook(interval=1, images=4)
    hook.curve = [{'step': i + 1} for i in range(len(values))]
    hook._judge(SimpleNamespace(logger=SimpleNamespace(info=said.append)), values, random=0.01, asked=1000)
    assert not said if words is None else re.search(words, said[0])


@pytest.mark.parametrize(
    ('values', 'stopped'),
    [
        ([0.1, 0.2, 0.3], False),  # too early to say
        ([0.1, 0.3, 0.3, 0.3, 0.305], True),
        ([0.1, 0.3, 0.3, 0.3, 0.35], False),
        ([0.1, 0.3, 0.2, 0.2, 0.2], True),
    ],
)
def test_a_curve_that_has_stopped_rising(values, stopped):
    """Of 1,000 boxes 30 % are known to 1.4 points."""
    assert stopped_rising(values, 1000, patience=3) is stopped
