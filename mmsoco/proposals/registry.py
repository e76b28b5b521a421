"""What there is by name: ways to propose boxes, and formats of files of boxes.

As mmengine's registries, but without torch: see :mod:`mmsoco.proposals`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence

from mmsoco.errors import UserError


class Registry(Mapping):
    """Classes by name, each in a file of one package.

    A file that is put into the package is found by itself: all of its modules
    are imported before a name is looked up.

    Args:
        kind: What a class is, for messages.
        package: The package.
        first: The names that are listed first; others follow in alphabetical order.
    """

    def __init__(self, kind: str, package: str, first: Sequence[str] = ()):
        self._kind = kind
        self._package = package
        self._first = first
        self._classes: dict[str, type] = {}
        self._former: dict[str, str] = {}

    def register(self, name: str, former: str | None = None) -> Callable[[type], type]:
        """A decorator that gives a class its name.

        Args:
            former: The name of earlier versions, which is still understood.

        Raises:
            ValueError: Another class has it.
        """

        def add(cls: type) -> type:
            if name in self._classes:
                raise ValueError(f"{self._kind} '{name}' is {self._classes[name]} already; give {cls} another name")
            self._classes[name] = cls
            if former is not None:
                self._former[former] = name
            return cls

        return add

    def _load(self) -> None:
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__, f'{self._package}.'):
            importlib.import_module(module.name)

    def present(self, name: str) -> str:
        """The present name of a class, by whichever it is called."""
        self._load()
        return self._former.get(name, name)

    def __getitem__(self, name: str) -> type:
        return self._classes[self.present(name)]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter([*self._first, *sorted(self._classes.keys() - set(self._first))])

    def __len__(self) -> int:
        self._load()
        return len(self._classes)

    def find(self, name: str) -> type:
        """The class of a name that a user gave.

        Raises:
            UserError: There is none.
        """
        if name not in self:
            raise UserError(f"{self._kind} '{name}' is unknown; choose one of {', '.join(self)}")
        return self[name]


#: See :mod:`mmsoco.proposals.generators.base`.
GENERATORS = Registry('generator', 'mmsoco.proposals.generators', ('selective_search', 'grid', 'random'))
#: See :mod:`mmsoco.proposals.formats.base`.
FORMATS = Registry('format', 'mmsoco.proposals.formats', ('official', 'coco', 'mmdet', 'csv'))
