"""The command ``mmsoco doctor``."""

import argparse
import os
import sys

from mmsoco.errors import command, one_line
from mmsoco.resources import FOLDER


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Print versions, cards, and whether what is needed works, by using it. Exit status 1 where '
        'something is wrong, with what to do; a warning does not change it.'
    )
    parser.add_argument(
        '--fix',
        action='store_true',
        help='install what is missing with pip, in the environment of this Python: compile mmcv for its torch (once, '
        'up to 10 minutes on 2 cores), and keep an OpenCV that has selective search',
    )
    parser.add_argument('--dry-run', action='store_true', help='with --fix: print its commands, and change nothing')
    parser.add_argument(
        '--line', choices=('onedl', 'upstream'), help='with --fix: OpenMMLab packages to install, where none are'
    )
    parser.add_argument(
        '--torch-index',
        metavar='INDEX',
        help="with --fix: take torch from there: an address, or one of PyTorch's, such as cu126 (older cards, "
        'drivers) or cpu',
    )
    args = parser.parse_args()
    for option in ('dry_run', 'line', 'torch_index'):
        if getattr(args, option) and not args.fix:
            parser.error(f'--{option.replace("_", "-")} is for --fix; give both')
    return args


@command
def main() -> int:
    """Look at everything; mend first, where that is asked for."""
    args = parse_args()
    from mmsoco.doctor.checks import examine

    if args.fix:
        from mmsoco.doctor.mending import mend

        mend(args.line, args.torch_index, args.dry_run)
        if args.dry_run:
            return 0
        # This process knows the packages as they were. Python looks for modules in the current folder, too.
        os.chdir(FOLDER)
        os.execv(sys.executable, [sys.executable, '-m', 'mmsoco.cli', 'doctor'])
    wrong = warnings = 0
    for finding in examine():
        sign = '!!' if finding.fault else ' !' if finding.warning else '  '
        print(f'{sign} {finding.name:<22} {finding.value}', flush=True)
        if finding.fault:
            wrong += 1
            print(f'   {"":<22} {one_line(finding.fault)}')
        if finding.warning:
            warnings += 1
            print(f'   {"":<22} warning: {one_line(finding.warning)}')
    print(f'{wrong} wrong' if wrong else 'all is well', end=f', {warnings} warning\n' if warnings else '\n')
    return 1 if wrong else 0


if __name__ == '__main__':
    main()
