#!/usr/bin/env python
"""What a pretraining was and did, as one HTML file.

python tools/report.py work_dirs/NAME
"""

from mmsoco.report.command import main

if __name__ == '__main__':
    main()
