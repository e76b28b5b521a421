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

        return call

    return decorate
