#!/usr/bin/env python
"""From a folder of images to a checkpoint in one command.

python tools/pretrain.py IMAGES
"""

from mmsoco.pretrain.command import main

if __name__ == '__main__':
    main()
