import argparse
from dataclasses import dataclass, fields

import pytest
from stripes import Stripes

from mmsoco.errors import UserError
from mmsoco.proposals.cli import parser, propose
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.base import add_options, build_generator, option
from mmsoco.proposals.registry import GENERATORS
from mmsoco.proposals.store import ProposalStore


@pytest.fixture
def stripes(monkeypatch):
    """The library with one more generator."""
    monkeypatch.setattr(GENERATORS, '_classes', dict(GENERATORS))
    GENERATORS.register('stripes')(Stripes)


def test_a_new_generator_is_searched_with_and_filtered_like_others(stripes, images, tmp_path, capsys):
    arguments = [images, tmp_path / 'raw', '--generator', 'stripes', '--count', 3, '--lying', '--jobs', 2]
    args = parser('Propose.', 'selective_search').parse_args([*map(str, arguments)])
    assert propose(args) == 0
    assert 'proposals of 8 images; 0 failed' in capsys.readouterr().out
    served = filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter(9, (0, 1), 0))
    assert served['all rules'] == 8
    store = ProposalStore.open(tmp_path / 'p.arrow')
    assert store.header['generator'] == {'name': 'stripes', 'count': 3, 'width': 0.5, 'lying': True}
    for row in store:
        assert row.boxes.shape == (3, 4)
        assert row.boxes[:, 0].tolist() == [0] * 3 and row.boxes[:, 2].tolist() == [row.width] * 3
        assert row.boxes[2, 1] == round(row.height * 2 / 3)


def test_a_new_generator_has_its_options_in_the_help(stripes, capsys):
    with pytest.raises(SystemExit):
        parser('Propose.', 'selective_search').parse_args(['--help'])
    text = ' '.join(capsys.readouterr().out.split())
    assert '{selective_search,grid,random,stripes}' in text
    # Random boxes have a count, too; there the option is described.
    assert 'stripes: also --count (default: 4)' in text
    assert '--width WIDTH part of its place that a stripe takes (default: 0.5)' in text
    assert '--lying, --no-lying' in text
    for group in ('selective search:', 'grid:', 'random:'):
        assert group in text
    assert text.count('boxes an image, before the filter (default: 200)') == 1


@pytest.mark.parametrize(
    ('argument', 'words'),
    [(('--count', '0'), 'argument --count: 0 is not 1 or more'), (('--width', 'x'), "invalid float value: 'x'")],
)
def test_bad_values_of_a_new_generator_are_refused(stripes, capsys, argument, words):
    with pytest.raises(SystemExit) as stop:
        parser('Propose.', 'stripes').parse_args(['images', 'out', *argument])
    assert stop.value.code == 2 and words in capsys.readouterr().err


def test_an_option_of_another_generator_is_refused(stripes, tmp_path):
    args = parser('Propose.', 'stripes').parse_args([str(tmp_path), str(tmp_path / 'out'), '--seed', '3'])
    with pytest.raises(UserError, match='--seed is not an option of --generator stripes; leave it out'):
        propose(args)


def parse(name, *arguments):
    args = parser('Propose.', 'selective_search').parse_args(['images', 'out', '--method', name, *arguments])
    return build_generator(name, GENERATORS, args)


@pytest.mark.parametrize('name', GENERATORS)
def test_defaults_of_the_command_line_are_those_of_the_class(name):
    assert parse(name) == GENERATORS[name]()
    # Also when they are written out, as text.
    for field in fields(GENERATORS[name]):
        if field.default is not None:
            values = field.default if isinstance(field.default, tuple) else (field.default,)
            assert parse(name, f'--{field.name.replace("_", "-")}', *map(str, values)) == GENERATORS[name]()


@pytest.mark.parametrize('name', GENERATORS)
def test_the_help_shows_each_option_with_its_default(name):
    group = next(g for g in parser('Propose.', name)._action_groups if g.title == name.replace('_', ' '))
    options = {action.dest: action.help for action in group._group_actions}
    assert list(options) == [field.name for field in fields(GENERATORS[name])]
    for field in fields(GENERATORS[name]):
        first = field.default[0] if isinstance(field.default, tuple) else field.default
        assert field.default is None or f'(default: {first}' in options[field.name]


@dataclass
class Kinds:
    weights: str
    side: int | None = option(None, 'of 100 % at most')
    range: tuple[float, float] = option((0.5, 1.0), 'from and to')
    names: tuple[str, ...] = option(('a',), 'some', choices=('a', 'b'))


def test_annotations_decide_what_is_parsed():
    command = argparse.ArgumentParser()
    add_options(command, {'kinds': Kinds})

    def build(text):
        return build_generator('kinds', {'kinds': Kinds}, command.parse_args(text.split()))

    assert build('--weights w') == Kinds('w')
    assert build('--weights w --side 3 --range 0 1 --names b a') == Kinds('w', 3, (0, 1), ('b', 'a'))
    with pytest.raises(UserError, match='--generator kinds needs --weights'):
        build('--side 3')
    for text in ('--weights w --range 1', '--weights w --names c'):
        with pytest.raises(SystemExit):
            build(text)
    assert 'of 100 % at most' in command.format_help() and '(default: 0.5 1)' in command.format_help()


@dataclass
class Others:
    side: float = option(1.0, 'another kind of number')


def test_one_option_cannot_mean_two_things():
    with pytest.raises(ValueError, match='--side of others is another than that of kinds'):
        add_options(argparse.ArgumentParser(), {'kinds': Kinds, 'others': Others})
