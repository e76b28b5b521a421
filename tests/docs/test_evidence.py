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
    half_way = {name: arm for found in whole.get('meanwhile', []) for name, arm in found['arms'].items()}
    for cell in [*(cell for cell in whole['cells'] if cell['seeds']), *half_way.values()]:
        assert cell.get('missing', 0) == 0
        assert spread(cell['figures']['box AP']) in page
        if 'box AP' in cell['difference']:
            found = cell['difference']['box AP']
            assert '{mean:+.1f} [{low:+.1f}, {high:+.1f}]'.format(**found) in page
    # None is left out but where it has been compared half-way.
    assert all(cell['seeds'] or cell['init'] in half_way for cell in whole['cells'])


def test_there_are_results():
    assert RESULTS
