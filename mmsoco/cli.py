"""The command ``mmsoco``: the scripts of ``tools`` and ``data_pipelines`` by short names.

Nothing of a script is imported before it is called, so that the search for proposals works
without torch.
"""

import argparse
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mmsoco import __version__
from mmsoco.arguments import positive
from mmsoco.errors import command
from mmsoco.resources import FOLDER


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        place: The file that has its ``main``, from the folder of configs and tools on, or a module.
        summary: What it does.
    """

    place: str
    summary: str

    @property
    def path(self) -> Path:
        """The file."""
        if self.place.endswith('.py'):
            return FOLDER / self.place
        return FOLDER.parents[1].joinpath(*self.place.split('.')).with_suffix('.py')

    def run(self) -> None:
        """Do what it does, with ``sys.argv``."""
        if not self.place.endswith('.py'):
            importlib.import_module(self.place).main()
            return
        spec = importlib.util.spec_from_file_location(f'mmsoco_{self.path.stem}', self.path)
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.main()


#: By the order of the work.
GROUPS = {
    'first': {
        'doctor': Command('mmsoco.doctor.command', 'what is installed, what is wrong with it, and --fix'),
        'configs': Command('mmsoco.configs', 'list the configs; begin one of your own'),
    },
    'all in one': {
        'pretrain': Command('tools/pretrain.py', 'from a folder of images to a checkpoint'),
        'report': Command('tools/report.py', 'what a pretraining was and did, as one HTML page'),
    },
    'look at the images': {
        'near-duplicates': Command('data_pipelines/near_duplicates.py', 'leave out what looks almost alike'),
        'imagenet-list': Command('data_pipelines/imagenet_list.py', "list ImageNet-1k's training images"),
        'imagenet-subset-list': Command('data_pipelines/imagenet_subset_list.py', 'draw a part of them'),
        'coco-list': Command('data_pipelines/coco_list.py', "list COCO's train2017 and unlabeled2017"),
        'mini-coco': Command('data_pipelines/mini_coco.py', "draw a part of COCO's labelled images"),
    },
    'find boxes': {
        'search': Command('data_pipelines/selective_search.py', 'search for proposals in images'),
        'random-proposals': Command('data_pipelines/random_proposals.py', 'random boxes instead'),
        'convert-proposals': Command('data_pipelines/convert_proposals.py', 'boxes of other tools in, or ours out'),
        'filter': Command('data_pipelines/filter_proposals.py', 'keep the boxes that training shall see'),
        'show-proposals': Command('tools/visualize/proposals.py', 'draw boxes, and how they are distributed'),
        'recall': Command('tools/proposal_recall.py', 'how well they cover labelled objects'),
        'statistics': Command('data_pipelines/channel_statistics.py', "mean and deviation of the images' channels"),
    },
    'train': {
        'train': Command('tools/train.py', 'train a config: a pretraining or a detector'),
    },
    'what was learned': {
        'probe': Command('tools/probe.py', 'measure what weights know, without training on them'),
    },
    'into detectors': {
        'extract': Command('tools/extract_backbone.py', 'weights for mmdet, torchvision, timm or detectron2'),
        'official': Command('tools/model_converters/soco_official.py', "to and from the official code's checkpoints"),
        'test': Command('tools/test.py', 'evaluate a detector'),
    },
    'compare': {
        'compare': Command('tools/compare.py', 'detectors from several starts, side by side'),
    },
}

#: These run in several processes, too.
PARALLEL = ('train', 'test')

EPILOG = """mmsoco COMMAND --help shows the options of each.

a pretraining on your own images:
  mmsoco pretrain IMAGES

by hand, with a search, a filter and a recipe of your choice:
  mmsoco search IMAGES raw
  mmsoco filter raw proposals.arrow
  mmsoco train mmsoco::own/100-pictures_cpu.py --progress --cfg-options \\
      train_dataloader.dataset.data_root=IMAGES train_dataloader.dataset.proposal_file=proposals.arrow
  mmsoco extract work_dirs/100-pictures_cpu/iter_400.pth weights.safetensors

on 8 GPUs: mmsoco train CONFIG --processes 8; several nodes: on each, with NNODES, NODE_RANK and MASTER_ADDR set
"""


COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}


def overview() -> str:
    """The commands in groups, a line each."""
    lines = []
    for title, group in GROUPS.items():
        lines += [f'{title}:', *(f'  {name:<22}{entry.summary}' for name, entry in group.items())]
    return '\n'.join(lines)


def start_processes(entry: Command, count: int, arguments: list[str]) -> None:
    """Become tools/torchrun.sh, with the same command in each process."""
    os.environ['PYTHON'] = sys.executable
    if entry is COMMANDS['train']:  # a test has no checkpoint to go on from
        os.environ.setdefault('MAX_RESTARTS', '3')
    script = str(FOLDER / 'tools/torchrun.sh')
    os.execvp('bash', ['bash', script, str(count), str(entry.path), '--launcher', 'pytorch', *arguments])


@command
def main() -> None:
    """The console script."""
    parser = argparse.ArgumentParser(
        prog='mmsoco',
        description=f'Pretrain whole object detectors on images without labels.\n\n{overview()}',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='mmsoco COMMAND [options]',
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='one of the above')
    # What follows the command's name is the command's.
    name = parser.parse_args(sys.argv[1:2] or ['--help']).command
    entry, arguments = COMMANDS[name], sys.argv[2:]
    if name in PARALLEL:
        several = argparse.ArgumentParser(prog=f'mmsoco {name}', add_help=False, allow_abbrev=False)
        several.add_argument('--processes', type=positive)
        count, arguments = several.parse_known_args(arguments)
        if count.processes is not None:
            start_processes(entry, count.processes, arguments)
    sys.argv = [f'mmsoco {name}', *arguments]
    entry.run()


if __name__ == '__main__':
    main()
