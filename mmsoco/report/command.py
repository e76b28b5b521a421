"""The command line of the report: ``mmsoco report``, ``tools/report.py``."""

import argparse

from mmsoco.errors import command
from mmsoco.report.page import write_report


@command
def main() -> None:
    """The tool."""
    parser = argparse.ArgumentParser(
        description='Write what a pretraining was and did as one HTML file, which needs no other and no network.'
    )
    parser.add_argument(
        'folder', metavar='WORK_DIR', help='what mmsoco pretrain wrote, or the work folder of a training'
    )
    parser.add_argument('--out', metavar='FILE', help='default: report.html in the folder')
    args = parser.parse_args()
    print(write_report(args.folder, args.out))


if __name__ == '__main__':
    main()
