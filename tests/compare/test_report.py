"""The table that grows, its sentences and files."""

import itertools
import json
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from mmsoco.compare.drawing import draw
from mmsoco.compare.plan import Comparison, Init, Run
from mmsoco.compare.report import as_text, collect, rows, write
from mmsoco.compare.running import FAILED, RESULT


@pytest.fixture
def comparison(tmp_path):
    (tmp_path / 'a.pth').touch()
    inits = (Init('scratch'), Init('soco', str(tmp_path / 'a.pth')))
    return Comparison('detector.py', inits, tmp_path / 'out', (0.1, 1.0), 3, (1.0, 3.0))


def finish(comparison, run, ap, early=None):
    """A run's result: evaluated in the middle and at its end."""
    folder = comparison.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    steps = int(100 * run.schedule)
    points = [(steps // 2, ap / 2 if early is None else early), (steps, ap)]
    curve = [{'step': step, 'seconds': step / 10, 'box AP': value, 'box AP50': 2 * value} for step, value in points]
    figures = {'box AP': ap, 'box AP50': 2 * ap}
    (folder / RESULT).write_text(json.dumps({**run._asdict(), 'figures': figures, 'curve': curve}))


def finish_all(comparison):
    for seed in range(3):
        for schedule in (1.0, 3.0):
            for fraction, lead in ((0.1, 6.0), (1.0, 0.0)):
                base = 10 * fraction + schedule + seed
                # At 3x the lead is a third; on all labels there is noise alone.
                more = lead / schedule + (0.1, -0.1, 0.05)[seed]
                finish(comparison, Run('scratch', fraction, schedule, seed), base)
                finish(comparison, Run('soco', fraction, schedule, seed), base + more, early=base + 0.9 * more)


def test_nothing_yet(comparison):
    report = collect(comparison, {})
    assert all(row[3] == '0 of 3' for row in rows(comparison, report)[1:])
    write(comparison, report)
    assert 'No comparison is finished' in (comparison.out / 'results.md').read_text()
    assert not (comparison.out / 'results.png').exists()


def test_the_table_grows(comparison):
    finish(comparison, Run('scratch', 0.1, 1.0, 0), 12.0)
    text = as_text(rows(comparison, collect(comparison, {})))
    assert '12.0' in text and '1 of 3' in text
    finish(comparison, Run('soco', 0.1, 1.0, 0), 14.0)
    finish(comparison, Run('scratch', 0.1, 1.0, 2), 13.0)
    table = rows(comparison, collect(comparison, {}))
    assert table[1][2:6] == ['scratch', '2 of 3', '12.5 ± 0.7', '25.0 ± 1.4']
    assert table[2][2:] == ['soco', '1 of 3', '14.0', '28.0', '+2.0', 'seeds are missing']


def evaluate(comparison, run, *values):
    """A run that is under way, evaluated at 50, 100, ... steps."""
    path = comparison.folder(run) / 'training/curve.json'
    path.parent.mkdir(parents=True)
    points = [{'step': 50 * (i + 1), 'seconds': 5.0, 'box AP': value} for i, value in enumerate(values)]
    path.write_text(json.dumps(points))


def test_arms_that_are_not_finished_are_compared_where_all_of_them_are(comparison):
    for seed in range(3):
        finish(comparison, Run('scratch', 0.1, 1.0, seed), 12.0 + seed)  # at 50 steps 6.0, 6.5, 7.0
    evaluate(comparison, Run('soco', 0.1, 1.0, 0), 9.0, 20.0)
    evaluate(comparison, Run('soco', 0.1, 1.0, 1), 10.5)
    assert collect(comparison, {})['meanwhile'] == []  # of a seed nothing is known
    evaluate(comparison, Run('soco', 0.1, 1.0, 2), 9.0)
    (found,) = collect(comparison, {})['meanwhile']
    assert found['step'] == 50 and found['arms']['scratch']['figures']['box AP']['mean'] == 6.5
    assert found['arms']['soco']['values'] == {0: 9.0, 1: 10.5, 2: 9.0}
    assert found['arms']['soco']['difference']['box AP']['mean'] == 3.0
    write(comparison, collect(comparison, {}), picture=False)
    text = (comparison.out / 'results.md').read_text()
    assert '- 1x, 10 % of the labels, box AP after 50 steps: scratch 6.5 ± 0.5, soco 9.5 ± 0.9 (+3.0 [+0.5, ' in text
    assert not (comparison.out / 'results.png').exists()
    # One that failed is no longer under way, whatever it has reached.
    (comparison.folder(Run('soco', 0.1, 1.0, 2)) / FAILED).write_text(json.dumps({'error': 'out of memory'}))
    assert collect(comparison, {})['meanwhile'] == []
    finish_all(comparison)
    assert collect(comparison, {})['meanwhile'] == []


def test_evaluations_without_a_figure_are_not_compared(comparison):
    for name, seed in itertools.product(('scratch', 'soco'), range(3)):
        path = comparison.folder(Run(name, 0.1, 1.0, seed)) / 'training/curve.json'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps([{'step': 50, 'seconds': 5.0}]))
    assert collect(comparison, {})['meanwhile'] == []


def test_what_is_larger_than_the_noise_is_said_and_what_is_not(comparison):
    finish_all(comparison)
    report = collect(comparison, {})
    cells = {(cell['init'], cell['fraction'], cell['schedule']): cell for cell in report['cells']}
    few, many = cells['soco', 0.1, 1.0], cells['soco', 1.0, 1.0]
    assert few['difference']['box AP']['verdict'] == 'larger' and 'larger than the noise' in few['sentence']
    assert '6.0 box AP above scratch' in few['sentence']
    assert many['difference']['box AP']['verdict'] == 'not distinguishable'
    assert 'not distinguishable from noise' in many['sentence']
    assert cells['scratch', 0.1, 1.0]['difference'] == {} and cells['scratch', 0.1, 1.0]['sentence'] == ''
    words = '\n'.join(report['summary'])
    assert 'soco, box AP: better than scratch in 2, worse in 0, not distinguishable in 2 of 4 cells' in words
    assert '4 differences were tested, each at 95%' in words and '0.2 would be expected' in words
    assert "10 % of the labels, 1x: soco reaches scratch's final 3.0 by 50% of the steps." in words
    assert 'difference of soco to scratch in box AP is +6.0 at 1x and +2.0 at 3x; it falls with time (by -4.0' in words
    assert '+0.0 at 1x and +0.0 at 3x; its change is not distinguishable from noise' in words


def test_files(comparison):
    finish_all(comparison)
    comparison = replace(comparison, report='long')
    run = Run('soco', 1.0, 3.0, 2)
    (comparison.folder(run) / RESULT).unlink()
    (comparison.folder(run) / FAILED).write_text(json.dumps({'error': 'the loss is nan after step 20'}))
    arm = {'file': 'a.pth', 'sha256': 'f' * 64, 'loaded': 0.5, 'only': {'default_hooks.transfer.leave': ['neck.']}}
    facts = {
        'inits': {'soco': arm},
        'leakage': {'soco': {'words': 'not checked'}},
        'labels': {},
        'notes': ['in every arm: FPN: BN'],
    }
    report = collect(comparison, facts)
    write(comparison, report)
    text = (comparison.out / 'long.md').read_text()
    for words in (
        'loss is nan',
        '2 of 3',
        'evaluation images in its pretraining: not checked',
        'in every arm: FPN: BN',
        "leave=['neck.']",
        '![AP by labels and over training](long.png)',
        '50% of the parameters loaded',
        'box AP - scratch | verdict |',
        'over 2 of 3 seeds; 1 of soco failed',
        'another seed of a pretraining, or other evaluation images',
    ):
        assert words in text, words
    written = json.loads((comparison.out / 'long.json').read_text())
    assert written['failed'] == {run.name: 'the loss is nan after step 20'} and len(written['runs']) == 23
    assert (comparison.out / 'long.png').read_bytes().startswith(b'\x89PNG')
    assert not list(comparison.out.glob('results.*'))


def test_masks_have_a_difference_of_their_own(comparison):
    for seed in range(3):
        for init, box, mask in (('scratch', 10.0, 10.0), ('soco', 10.1, 14.0)):
            run = Run(init, 1.0, 1.0, seed)
            finish(comparison, run, box + seed)
            path = comparison.folder(run) / RESULT
            result = json.loads(path.read_text())
            result['figures'] |= {'mask AP': mask + seed, 'mask AP50': 50.0}
            path.write_text(json.dumps(result))
    report = collect(comparison, {})
    heading, *table = rows(comparison, report)
    assert heading[-4:] == ['box AP - scratch', 'verdict', 'mask AP - scratch', 'verdict']
    row = next(row for row in table if row[:3] == ['1x', '100 %', 'soco'])
    assert row[-3] == 'not distinguishable' and row[-2].startswith('+4.0 [') and row[-1] == 'larger'
    assert any(line.startswith('soco, mask AP: better than scratch in 1') for line in report['summary'])
    assert any('4.0 mask AP above scratch, which is larger' in cell['sentence'] for cell in report['cells'])


def test_nothing_is_said_of_time_by_two_seeds_or_by_one_lucky_evaluation(comparison):
    comparison = replace(comparison, fractions=(1.0,), schedules=(1.0,))
    for seed in range(3):
        finish(comparison, Run('scratch', 1.0, 1.0, seed), 10.0 + seed)
        # In the middle above, at the end below.
        finish(comparison, Run('soco', 1.0, 1.0, seed), 9.0 + seed + (0.9, -0.9, 0.0)[seed], early=20.0)
    assert not any('reaches' in line for line in collect(comparison, {})['summary'])
    for early, end in ((20.0, 12.0), (9.0, 12.0)):
        for seed in range(3):
            (comparison.folder(Run('soco', 1.0, 1.0, seed)) / RESULT).unlink()
            finish(comparison, Run('soco', 1.0, 1.0, seed), end + seed, early=early)
        said = [line for line in collect(comparison, {})['summary'] if 'reaches' in line]
        assert bool(said) == (early == 20.0)
        two = replace(comparison, seeds=2)
        assert not any('reaches' in line for line in collect(two, {})['summary'])


def test_images_without_a_class_have_no_figure(comparison):
    for seed in range(3):
        finish(comparison, Run('scratch', 0.1, 1.0, seed), 1.0)
        path = comparison.folder(Run('scratch', 0.1, 1.0, seed)) / RESULT
        path.write_text(path.read_text().replace('"box AP": 1.0', '"box AP": null'))
    report = collect(comparison, {})
    assert report['cells'][0]['figures']['box AP'] == {'mean': None, 'sd': None, 'count': 0}
    write(comparison, report)


@pytest.mark.parametrize('names', [['soco'], [f'an-arm-of-a-long-name-{i}' for i in range(8)]])
def test_the_names_of_all_arms_are_in_the_picture(tmp_path, monkeypatch, names):
    (tmp_path / 'a.pth').touch()
    inits = (Init('scratch'), *(Init(name, str(tmp_path / 'a.pth')) for name in names))
    comparison = Comparison('detector.py', inits, tmp_path / 'out', seeds=1)
    for init in inits:
        finish(comparison, Run(init.name, 1.0, 1.0, 0), 10.0)
    drawn = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, *_, **__: drawn.append(figure))
    draw(comparison, collect(comparison, {}), 'box AP', tmp_path / 'a.png')
    (figure,) = drawn
    figure.canvas.draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['scratch', *names]
    place = legend.get_window_extent()
    assert figure.bbox.x0 <= place.x0 and place.x1 <= figure.bbox.x1
