"""The figures of docs/evidence.md are those of the results beside it."""

import json

import pytest

from mmsoco.resources import FOLDER

RESULTS = sorted((FOLDER / 'docs/evidence').glob('*.json'))


def spread(figures):
    return f'{figures["mean"]:.1f} ± {figures["sd"]:.1f}'


@pytest.mark.parametrize('path', RESULTS, ids=lambda path: path.stem)
def test_the_page_says_what_the_results_say(path):
    page = (FOLDER / 'docs/evidence.md').read_text()
    assert f'(evidence/{path.name})' in page
    whole = json.loads(path.read_text())
    for cell in whole['cells']:
        assert cell['missing'] == 0
        assert spread(cell['figures']['box AP']) in page, cell['init']
        if cell['init'] != whole['baseline']:
            found = cell['difference']['box AP']
            assert '{mean:+.1f} [{low:+.1f}, {high:+.1f}]'.format(**found) in page, cell['init']


def test_there_are_results():
    assert RESULTS
