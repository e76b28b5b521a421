#!/usr/bin/env python
"""Random boxes in place of selective search (paper, table 5c): raw proposals to be filtered like any other.

python data_pipelines/random_proposals.py IMAGES OUT
"""

from mmsoco.errors import command
from mmsoco.proposals.cli import parser, propose


@command
def main() -> int:
    return propose(
        parser('Draw random boxes for all images below folders and in archives.', 'random').parse_intermixed_args()
    )


if __name__ == '__main__':
    main()
