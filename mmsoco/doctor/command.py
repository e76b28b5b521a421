"""The command ``mmsoco doctor``."""

import argparse
import os
import sys

from mmsoco.errors import command, one_line


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Print versions, cards, and whether what is needed works, by using it. Exit status 1 where '
        'something is wrong, with what to do.'
    )
    parser.add_argument(
        '--fix',
        action='store_true',
        help='install what is missing with pip, in the environment of this Python: compile mmcv for its torch (once, '
        'up to 10 minutes on 2 cores), and keep an OpenCV that has selective search',
    )
    parser.add_argument('--line', choices=('onedl', 'upstream'), help='OpenMMLab packages to install, where none are')
    parser.add_argument(
        '--torch-index',
        metavar='INDEX',
        help="take torch from there: an address, or one of PyTorch's, such as cu126 (older cards, drivers) or cpu",
    )
    return parser.parse_args()


@command
def main() -> int:
    """Look at everything; mend first, where that is asked for."""
    args = parse_args()
    from mmsoco.doctor.checks import examine

    if args.fix or args.line or args.torch_index:
        from mmsoco.doctor.mending import mend

        mend(args.line, args.torch_index)
        # This process knows the packages as they were.
        os.execv(sys.executable, [sys.executable, '-m', 'mmsoco.cli', 'doctor'])
    wrong = 0
    for finding in examine():
        print(f'{"!!" if finding.fault else "  "} {finding.name:<22} {finding.value}', flush=True)
        if finding.fault:
            wrong += 1
            print(f'   {"":<22} {one_line(finding.fault)}')
    print(f'{wrong} wrong' if wrong else 'all is well')
    return 1 if wrong else 0


if __name__ == '__main__':
    main()
