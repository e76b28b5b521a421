"""The files that come with the package: configs, tools, pages of the docs, lists of models.

They are in ``mmsoco/.mim``, where OpenMMLab's tools look for those of every package. A wheel holds
them there; in a checkout these are links to the folders beside the package. Nothing is looked for
in the current folder.
"""

from pathlib import Path

from mmsoco.errors import UserError

FOLDER = Path(__file__).parent / '.mim'
CONFIGS = FOLDER / 'configs'
#: What the name of a config of this package begins with, as in ``_base_ = 'mmsoco::own/100-pictures_cpu.py'``.
PREFIX = 'mmsoco::'
#: Whether this is a checkout, whose environment is made by make.
IN_CHECKOUT = CONFIGS.is_symlink()
#: The command that sets up what pip alone cannot.
SETUP = 'make setup' if IN_CHECKOUT else 'mmsoco doctor --fix'


def shipped(name: str) -> Path:
    """A file that comes with the package, such as ``tools/train.py``; another one by its absolute path.

    Raises:
        UserError: There is none.
    """
    path = FOLDER / name
    if not path.exists():
        raise UserError(f'{name} is not there; install mmsoco again, or work in a whole checkout')
    return path.resolve()


def named(name: str) -> str:
    """A file that comes with the package as a message names it: in a checkout as the docs do, else by its path.

    Args:
        name: Such as ``docs/transfer.md``.
    """
    return name if IN_CHECKOUT else str(shipped(name))


def setup_with_torch(index: str) -> str:
    """The command that sets up with another torch.

    Args:
        index: Where it comes from, such as cu126.
    """
    return f'make clean && make setup TORCH_INDEX={index}' if IN_CHECKOUT else f'{SETUP} --torch-index {index}'


def config_names() -> list[str]:
    """All configs that can be run, such as ``own/100-pictures_cpu.py``."""
    paths = (path.relative_to(CONFIGS) for path in CONFIGS.glob('**/*.py'))
    return sorted(str(path) for path in paths if '_base_' not in path.parts)


def config_path(name: str) -> Path:
    """The file of a config of this package.

    Args:
        name: With or without ``mmsoco::`` before it, with or without ``.py`` behind.

    Raises:
        UserError: There is none.
    """
    wanted = name.removeprefix(PREFIX).removesuffix('.py') + '.py'
    if wanted not in config_names():
        raise UserError(f'{name} is no config of mmsoco; mmsoco configs lists them')
    return CONFIGS / wanted
