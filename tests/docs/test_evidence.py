"""The figures of docs/evidence.md are those of the results beside it."""

import json

import pytest

from mmsoco.resources import FOLDER

RESULTS = sorted((FOLDER / 'docs/evidence').glob('*.json'))
PROBES = sorted((FOLDER / 'docs/evidence/probe').glob('*.json'))
#: As probe.json and the page name them.
PARTS = {'backbone': '| backbone |', 'neck': '| FPN |', 'head': '| box head |', 'embedding': '| embedding |'}


def spread(figures):
    return f'{figures["mean"]:.1f} ± {figures["sd"]:.1f}'


@pytest.mark.parametrize('path', RESULTS, ids=lambda path: path.stem)
def test_the_page_says_what_the_results_say(path):
    page = (FOLDER / 'docs/evidence.md').read_text()
    assert f'(evidence/{path.name})' in page
    whole = json.loads(path.read_text())
    half_way = {
        (found['schedule'], found['fraction'], name): arm
        for found in whole.get('meanwhile', [])
        for name, arm in found['arms'].items()
    }
    told = [*half_way.values()]
    for cell in whole['cells']:
        # None is left out but where it has been compared half-way.
        assert not cell['missing'] or (cell['schedule'], cell['fraction'], cell['init']) in half_way
        told += [cell] * (not cell['missing'])
    for cell in told:
        assert spread(cell['figures']['box AP']) in page
        if 'box AP' in cell['difference']:
            found = cell['difference']['box AP']
            assert '{mean:+.1f} [{low:+.1f}, {high:+.1f}]'.format(**found) in page


@pytest.mark.parametrize('path', PROBES, ids=lambda path: path.stem)
def test_the_page_says_what_the_probes_say(path):
    page = (FOLDER / 'docs/evidence.md').read_text()
    assert f'(evidence/probe/{path.name})' in page
    for part, figures in json.loads(path.read_text())['curve'][-1]['figures'].items():
        row = next(line for line in page.partition('H100')[2].splitlines() if PARTS[part] in line)
        assert f' {100 * figures["top1"]:.1f} ' in row


def test_there_are_results():
    assert RESULTS and PROBES
