"""Names of earlier versions, which configs and checkpoints out there still use."""

import functools
from collections.abc import Callable

from mmsoco.errors import UserError


def renamed_arguments(**names: str) -> Callable:
    """Make a function, or a class' constructor, take arguments by their former names, too.

    Args:
        **names: Former name -> present one.

    Raises:
        UserError: Of the function: an argument is given by both names.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args, **kwargs):
            for former in names.keys() & kwargs.keys():
                present = names[former]
                if present in kwargs:
                    raise UserError(f'{former} is the former name of {present}, and both are given; delete {former}')
                kwargs[present] = kwargs.pop(former)
            return function(*args, **kwargs)

        call.former_arguments = names
        return call

    return decorate


def former_arguments(cls: type | None) -> dict[str, str]:
    """Former name -> present one, of the arguments of a class' constructor; of None, none."""
    return getattr(getattr(cls, '__init__', None), 'former_arguments', {})
