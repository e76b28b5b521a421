"""The command ``mmsoco configs``: the configs that there are, and a first file of one's own."""

import argparse
from pathlib import Path

from mmsoco.errors import UserError, command
from mmsoco.files import atomic_path
from mmsoco.resources import CONFIGS, PREFIX, config_names, config_path


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='List the configs, or write a file that inherits one, to change in it what you like. '
        'mmsoco train takes either: the name as listed, or the file.'
    )
    parser.add_argument('name', nargs='?', help='one of them, or a part of the names to list')
    parser.add_argument('--out', metavar='FILE', help='file to write, such as my.py, which inherits the config')
    return parser.parse_args()


@command
def main() -> None:
    """Print names, or write a file."""
    args = parse_args()
    if args.out is None:
        names = [name for name in config_names() if (args.name or '').removeprefix(PREFIX) in name]
        if not names:
            raise UserError(f'no config has {args.name} in its name; mmsoco configs lists all')
        print('\n'.join(PREFIX + name for name in names))
        return
    if args.name is None:
        raise UserError('name the config that the file shall inherit; mmsoco configs lists them')
    base = config_path(args.name)
    out = Path(args.out)
    if out.suffix != '.py' or out.exists():
        raise UserError(f'{out} {"exists already" if out.exists() else "does not end in .py"}; name another file')
    with atomic_path(out) as temporary:
        temporary.write_text(f"_base_ = '{PREFIX}{base.relative_to(CONFIGS)}'\n")
    print(f'{out} inherits {base}')


if __name__ == '__main__':
    main()
