"""Errors that a user can mend, and how the command-line tools show them."""

import functools
import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something that the user gave is wrong.

    The message is one line and says what is wrong and what to do.

    Attributes:
        status: Exit status of a tool that it ends.
    """

    status = 2


def words_of(error: UserError) -> str:
    """The message; of an error in a worker of a data loader, which torch wraps into its traceback, the last line."""
    words = str(error)
    if 'Original Traceback' in words:
        words = words.strip().splitlines()[-1].partition(': ')[2]
    return words


def command(main: Callable[[], int | None]) -> Callable[[], None]:
    """Make a tool's ``main``: a :class:`UserError` becomes one line on stderr and exit status 2."""

    @functools.wraps(main)
    def run() -> None:
        try:
            sys.exit(main())
        except UserError as error:
            # One line for all processes of a distributed run.
            if os.environ.get('RANK', '0') == '0':
                print(f'{"error" if error.status == 2 else "stopped"}: {words_of(error)}', file=sys.stderr)
            sys.exit(error.status)
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            sys.exit(130)

    return run
