#!/usr/bin/env python
"""Selective search over a folder of images: raw proposals, every box it finds.

python data_pipelines/selective_search.py IMAGES OUT
"""

from mmsoco.errors import command
from mmsoco.proposals.cli import parser, propose


@command
def main() -> int:
    return propose(
        parser(
            'Propose boxes for all images below folders and in archives.', 'selective_search'
        ).parse_intermixed_args()
    )


if __name__ == '__main__':
    main()
