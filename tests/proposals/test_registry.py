import importlib
import sys

import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.registry import Registry

MODULE = """
from registered_rooms import ROOMS

@ROOMS.register('{name}')
class Room:
    pass
"""


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    """A registry of a package with two modules, and the package's folder."""
    package = tmp_path / 'registered_rooms'
    package.mkdir()
    (package / '__init__.py').write_text(
        "from mmsoco.proposals.registry import Registry\nROOMS = Registry('room', 'registered_rooms', ('kitchen',))"
    )
    for name in ('attic', 'kitchen'):
        (package / f'{name}.py').write_text(MODULE.format(name=name))
    monkeypatch.syspath_prepend(tmp_path)
    import registered_rooms

    yield registered_rooms.ROOMS, package
    for name in [name for name in sys.modules if name.startswith('registered_rooms')]:
        del sys.modules[name]


def test_modules_of_the_package_are_found_by_themselves(rooms):
    registry, package = rooms
    assert registry['attic'].__module__ == 'registered_rooms.attic'
    assert list(registry) == ['kitchen', 'attic'] and len(registry) == 2
    (package / 'a_new_one.py').write_text(MODULE.format(name='a new one'))
    importlib.invalidate_caches()
    assert list(registry) == ['kitchen', 'a new one', 'attic']


def test_unknown_names_are_explained(rooms):
    registry, _ = rooms
    assert 'cellar' not in registry and registry.find('attic') is registry['attic']
    with pytest.raises(UserError, match="room 'cellar' is unknown; choose one of kitchen, attic"):
        registry.find('cellar')


def test_a_name_is_given_once():
    registry = Registry('room', 'registered_rooms')
    registry.register('attic')(int)
    with pytest.raises(ValueError, match=r"room 'attic' is <class 'int'> already"):
        registry.register('attic')(str)
