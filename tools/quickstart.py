#!/usr/bin/env python
"""The whole chain on two CPU cores: images, proposals, pretraining, fine-tuning, figures.

Each step is a command that can be run by hand; finished steps are skipped, an
interrupted one goes on.

python tools/quickstart.py
python tools/quickstart.py --seeds 3 --times 3
"""

import argparse
import os
from pathlib import Path

from mmsoco.arguments import positive
from mmsoco.errors import command
from mmsoco.quickstart.run import run


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--seeds', type=positive, default=1, help='fine-tunings of each kind (default 1)')
    parser.add_argument('--times', type=positive, default=1, help='how many times as long they last (default 1)')
    args = parser.parse_args()
    # The configs name the folder relative to the checkout.
    os.chdir(Path(__file__).parents[1])
    run('work_dirs/quickstart', args.seeds, args.times)


if __name__ == '__main__':
    main()
