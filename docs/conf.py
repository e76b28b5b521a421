"""Sphinx: pip install -e '.[docs]'; sphinx-build docs docs/_build."""

project = 'mmsoco'
extensions = ['myst_parser']
html_theme = 'alabaster'
exclude_patterns = ['_build']
