"""Every relative link of every Markdown file leads to a file, and to a heading where it names one."""

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(r'[a-z][a-z0-9+.-]*:')
#: Folders that are no part of the repository.
LEFT_OUT = {'work_dirs', 'data', 'build', 'dist', '_build', 'generated'}


def markdown_files():
    """As git would list them, without asking git: an sdist has none."""
    for path in sorted(ROOT.rglob('*.md')):
        parts = path.relative_to(ROOT).parts[:-1]
        if not LEFT_OUT.intersection(parts) and not any(part.startswith('.') for part in parts):
            yield path


def inline(text):
    """The tokens of all lines of text; code holds no links."""
    for token in MarkdownIt('commonmark').enable('table').parse(text):
        yield from token.children or ()


def links(text):
    """Where links and images lead."""
    for token in inline(text):
        if target := token.attrs.get('href', token.attrs.get('src')):
            yield unquote(target)


def anchors(text):
    """What GitHub calls the headings: small letters, hyphens for spaces, nothing else; numbered where it is taken."""
    taken = {}
    tokens = MarkdownIt('commonmark').enable('table').parse(text)
    for heading, content in pairwise(tokens):
        if heading.type != 'heading_open':
            continue
        words = ''.join(child.content for child in content.children)
        anchor = re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-')
        count = taken[anchor] = taken.get(anchor, -1) + 1
        yield f'{anchor}-{count}' if count else anchor


def broken(path):
    """The links of a file that lead nowhere."""
    text = path.read_text()
    for link in links(text):
        if OUTSIDE.match(link):
            continue
        place, _, anchor = link.partition('#')
        target = (path.parent / place).resolve() if place else path
        if not target.exists():
            yield f'{link}: there is no such file'
        elif not target.is_relative_to(ROOT):
            yield f'{link}: leads out of the repository'
        elif anchor and anchor not in anchors(target.read_text()):
            yield f'{link}: there is no such heading'


@pytest.mark.parametrize('path', markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    assert list(broken(path)) == []


def test_links_that_lead_nowhere_are_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(f'{__name__}.ROOT', tmp_path)
    (tmp_path / 'a.md').write_text('# What *is* `it`?\n\n## Same\n\n## Same\n\n```\n# no heading\n[no](link)\n```\n')
    good = '[a](a.md#what-is-it) [b](a.md#same-1) [c](#own) [d](https://e.org/f)'
    bad = '![e](e.png) [f](a.md#no-heading) [g](../)'
    (tmp_path / 'b.md').write_text(f'# Own\n\n| t |\n|---|\n| {good} {bad} |\n')
    assert [words.partition(':')[0] for words in broken(tmp_path / 'b.md')] == ['e.png', 'a.md#no-heading', '../']


def test_each_page_of_the_docs_is_reached_from_the_index():
    """By its tables of contents; a page that is in none is seen by the site's build, too, where that runs."""
    index = (ROOT / 'docs/index.md').read_text()
    toctrees = ' '.join(re.findall(r'```\{toctree\}(.*?)```', index, re.DOTALL))
    names = {path.stem for path in (ROOT / 'docs').glob('*.md')} - {'index'}
    listed = {word.strip('<>') for word in toctrees.split()}
    assert [name for name in sorted(names) if name not in listed] == []
