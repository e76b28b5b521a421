"""The site builds without a warning: each link and heading within it, and each name in a docstring, is found."""

import os
import re
import subprocess
import sys

import pytest

pytest.importorskip('furo')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def site(root, tmp_path_factory):
    """What `make docs` builds."""
    out = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-W', 'ignore', '-m', 'sphinx', '-q', '-W', '--keep-going', '-E', '-c', 'docs', '.', out]
    environment = {**os.environ, 'PYTHONPATH': str(root), 'OMP_NUM_THREADS': '1'}
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return out


def test_pages_are_where_they_are_in_the_repository(root, site):
    for page in [*(root / 'docs').glob('*.md'), root / 'CONTRIBUTING.md', *(root / 'configs').rglob('README.md')]:
        assert (site / page.relative_to(root).with_suffix('.html')).is_file(), page
    assert 'url=docs/index.html' in (site / 'index.html').read_text()


def test_docstrings_are_there(site):
    page = (site / 'docs/api/generated/mmsoco.engine.hooks.transfer.html').read_text()
    assert 'id="mmsoco.engine.hooks.transfer.TransferHook"' in page
    assert re.search('Parameters.*leave', page, re.DOTALL)


def test_scripts_are_shown_and_can_be_had(site):
    page = (site / 'docs/into_your_detector.html').read_text()
    for word in ('TransferHook', 'maskrcnn_resnet50_fpn_v2', 'forward_intermediates', 'fpn_lateral'):
        assert f'>{word}<' in page or word in re.sub('<[^>]*>', '', page), word
    assert re.search(r'<a class="[^"]*download[^"]*" [^>]*into_timm\.py', page)
