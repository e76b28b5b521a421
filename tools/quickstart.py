#!/usr/bin/env python
"""The whole chain on two CPU cores: pictures, proposals, pretraining, fine-tuning, figures.

Each step is a command that can be run by hand; finished steps are skipped, an
interrupted one goes on.
"""

import os
from pathlib import Path

from mmsoco.errors import command
from mmsoco.quickstart.run import run


@command
def main() -> None:
    # The configs name the folder relative to the checkout.
    os.chdir(Path(__file__).parents[1])
    run('work_dirs/quickstart')


if __name__ == '__main__':
    main()
