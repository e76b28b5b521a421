"""Sphinx: `make docs`. The source folder is the checkout, so that links are the same here and in the repository."""

from importlib.util import find_spec
from pathlib import Path

import mmsoco

project = 'mmsoco'
copyright = 'the mmsoco contributors'
version = release = mmsoco.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.autosummary', 'sphinx.ext.napoleon']
root_doc = 'docs/index'
include_patterns = ['docs/**.md', 'docs/api/**', 'configs/**/README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
exclude_patterns = ['docs/_build', '.*', 'work_dirs', 'data', 'build', 'dist']
templates_path = [str(Path(__file__).parent / '_templates')]

# Headings have GitHub's anchors.
myst_heading_anchors = 4

autosummary_generate = True
autodoc_member_order = 'bysource'
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
add_module_names = False
# mmcv's operators are compiled; reading docstrings does not need them.
autodoc_mock_imports = [] if find_spec('mmcv._ext') else ['mmcv._ext']
napoleon_use_ivar = True
# Of types, those of other packages have no page here, and napoleon takes words before a colon for one.
nitpicky = True
nitpick_ignore_regex = [
    ('py:class', r'(?!mmsoco\.).*|.*\._\w+'),
    (r'py:\w+', r'(torch|pyarrow|subprocess|multiprocessing)\b.*'),
]

html_theme = 'furo'
html_title = 'mmsoco'
# The pages lie in docs/, as in the repository; the site's own address leads there.
html_additional_pages = {'index': 'redirect.html'}
