"""Decisions of a pretraining, each from facts alone, with its reason."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from mmsoco.errors import UserError
from mmsoco.images.decoding import max_pixels
from mmsoco.images.tiles import Tiling
from mmsoco.pretrain.inspection import Facts
from mmsoco.proposals.filters import ProposalFilter
from mmsoco.proposals.generators.selective_search import SearchParameters
from mmsoco.resources import PREFIX

#: From how many images on a recipe of configs/own is meant, and what its name begins with (docs/recipes.md).
RECIPES = {50_000: '50k', 10_000: '10k', 1_000: '1k', 0: '100'}
#: The recipes that have a form for several GPUs, and the images a step that these share.
SEVERAL, SEVERAL_BATCH, MOST_GPUS = ('10k', '50k'), 512, 8
#: Images that a process compares boxes of at once, at least.
LEAST_PART = 8
#: Images a step, and side of the views in pixels, of the recipes for a CPU and for GPUs.
BATCH = {'cpu': 32, 'gpu': 64}
VIEW = {'cpu': 128, 'gpu': 224}
#: Steps of each recipe; the configs say the same.
STEPS = {
    '100-pictures_cpu': 400,
    '1k-pictures_cpu': 1000,
    '10k-pictures_cpu': 3000,
    '50k-pictures_cpu': 6000,
    '100-pictures_gpu': 1000,
    '1k-pictures_gpu': 5000,
    '10k-pictures_gpu': 20000,
    '50k-pictures_gpu': 50000,
    '10k-pictures_8gpus': 5000,
    '50k-pictures_8gpus': 20000,
}
#: Every so many images, one is held out.
HELD_OUT = 10
#: The whole detectors that can be asked for, in three families.
DETECTORS = ('mask-rcnn', 'faster-rcnn', 'retinanet', 'fcos', 'c4')
ONE_STAGE = ('retinanet', 'fcos')
RESNETS = ('resnet18', 'resnet34', 'resnet50', 'resnet101')
BACKBONES = (*RESNETS, 'convnext-t', 'swin-t', 'vit-b')
#: Detector and backbone (None: the narrow one) -> the config of configs/own/detectors that takes all of it.
FITTING = {
    ('mask-rcnn', None): 'mask-rcnn_r18fpn_cpu',
    ('faster-rcnn', None): 'faster-rcnn_r18fpn_cpu',
    ('retinanet', None): 'retinanet_r18fpn_cpu',
    ('mask-rcnn', 'resnet50'): 'mask-rcnn_r50fpn_gpu',
    ('faster-rcnn', 'resnet50'): 'faster-rcnn_r50fpn_gpu',
}
#: Sizes of objects, as sqrt(box area / image area): large is the paper's, the others are ours.
SIZES = {'small': (0.05, 0.3), 'medium': (0.15, 0.6), 'large': (0.3, 0.8)}
#: Segmentation scale k and smallest segment in pixels. Large has the paper's, small those of the quickstart's
#: digits (30 px); medium lies between.
SEGMENTS = {'small': (100, 20), 'medium': (200, 50), 'large': (300, 100)}
#: Longer side in pixels of the copy that is searched, where images are larger: small objects need their pixels.
MAX_SIDE = {'small': None, 'medium': 640, 'large': 320}
#: From this longer side on, pictures with small objects are searched in tiles of so many pixels.
TILE_FROM, TILE, OVERLAP = 2000, 512, 0.1
#: Pixels of a view that the middle one of the boxes should measure: six cells of the finest level.
LEAST_IN_VIEW = 24


@dataclass(frozen=True)
class Machine:
    """What there is to compute with.

    Attributes:
        gpus: Cards of NVIDIA.
        cores: Of the processors.
    """

    gpus: int
    cores: int

    @property
    def kind(self) -> str:
        """``cpu`` or ``gpu``."""
        return 'gpu' if self.gpus else 'cpu'


@dataclass(frozen=True)
class Asked:
    """What the user asks for; None where it is to be chosen."""

    detector: str = 'mask-rcnn'
    backbone: str | None = None
    init: str | None = None
    hours: float | None = None
    epochs: int | None = None
    steps: int | None = None
    size: str | None = None
    objects: str | None = None
    batch: int | None = None
    view: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table: about what, what is done, and why."""

    about: str
    choice: str
    why: str


@dataclass(frozen=True)
class Recipe:
    """A config of configs/own, and how processes share it.

    Attributes:
        name: Without its ending.
        batch: Images a step.
        processes: One a GPU.
        accumulate: Parts of each process' share.
    """

    name: str
    batch: int
    processes: int = 1
    accumulate: int = 1

    @property
    def part(self) -> int:
        """Images that a process takes at once."""
        return self.batch // self.processes // self.accumulate


@dataclass(frozen=True)
class Samples:
    """What a data set has: images, or tiles of them.

    Attributes:
        total: All of them.
        left: Those to train on; the others are held out.
        images: That they are of.
    """

    total: int
    left: int
    images: int

    @classmethod
    def of(cls, tiles: Sequence[int]) -> 'Samples':
        """Of the tiles of each image, in the data set's order; all of every :data:`HELD_OUT` th are held out."""
        return cls(sum(tiles), sum(tiles) - sum(tiles[::HELD_OUT]), len(tiles))

    def __str__(self) -> str:
        return f'{self.total:,} images' if self.total == self.images else f'{self.total:,} tiles'


def recipe_for(samples: Samples, machine: Machine, batch: int | None = None) -> tuple[Recipe, Row]:
    """By docs/recipes.md: the number of images and the machine.

    Args:
        samples: What there is to train on.
        machine: What there is to compute with.
        batch: Images a step, where the user says so.

    Raises:
        UserError: A step takes more images than there are to train on.
    """
    number = next(name for least, name in RECIPES.items() if samples.total >= least)
    kind, processes, accumulate = machine.kind, 1, 1
    if machine.gpus > 1 and number in SEVERAL:
        # The batch is to divide; what a card would have more than 64 of, it takes in parts.
        processes = min(2 ** math.floor(math.log2(machine.gpus)), MOST_GPUS)
        kind, accumulate = '8gpus', MOST_GPUS // processes
    name = f'{number}-pictures_{kind}'
    default = SEVERAL_BATCH if kind == '8gpus' else BATCH[kind]
    recipe = Recipe(name, batch or default, processes, accumulate if batch is None else 1)
    if recipe.batch % (recipe.processes * recipe.accumulate):
        raise UserError(f'--batch {batch} does not divide over {processes} GPUs; give a multiple of {processes}')
    if recipe.part < LEAST_PART:
        raise UserError(
            f'--batch {batch} gives a process {recipe.part} at once, too few to compare boxes; give '
            f'{LEAST_PART * processes} or more'
        )
    on = f'{processes} GPUs' if processes > 1 else 'one GPU' if machine.gpus else f'{machine.cores} CPU cores'
    if samples.left < recipe.batch:
        smaller = 2 ** math.floor(math.log2(max(samples.left, 1)))
        advice = f'--batch {smaller}' if smaller >= LEAST_PART * processes else 'more images'
        raise UserError(
            f'{samples} can be used, {samples.left} of them to train on, fewer than the {recipe.batch} of a step; '
            f'give {advice}'
        )
    why = f'{samples} on {on}'
    if samples.total < 100:
        why += '; so few were not measured'
    elif name != '100-pictures_cpu':
        why += '; of this recipe nobody has measured the gain yet'
    return recipe, Row('recipe', f'{PREFIX}own/{name}.py', why)


def smaller_parts(recipe: Recipe) -> Recipe:
    """The same step in smaller parts, for a memory that those before do not fit into.

    Raises:
        UserError: They are too few to compare boxes with.
    """
    part = recipe.part // 2
    if part < LEAST_PART:
        raise UserError(
            f'{recipe.part} images at once do not fit into the memory, and fewer are too few to compare; use --view'
        )
    return replace(recipe, accumulate=recipe.accumulate * 2)


def batch_row(recipe: Recipe, asked: int | None = None) -> Row:
    """A line for the images a step, after some steps were tried."""
    words = f'{recipe.batch} images'
    if recipe.processes * recipe.accumulate > 1:
        words += f' = {recipe.processes} x {recipe.part}'
    words += f' x {recipe.accumulate} accumulated' if recipe.accumulate > 1 else ''
    if asked is not None:
        return Row('batch', words, '--batch')
    usual = BATCH.get(recipe.name.partition('_')[2], SEVERAL_BATCH // MOST_GPUS)
    if recipe.part == usual:
        return Row('batch', words, "the recipe's, and fits the memory, as tried")
    why = f'{usual} at once do not fit into the memory, as tried; boxes are compared among those of {recipe.part}'
    return Row('batch', words, why)


@dataclass(frozen=True)
class Search:
    """How boxes are searched: OpenCV's segmentation, the copy that is searched, or tiles; pixels."""

    k: int
    min_size: int
    max_side: int | None = None
    tile: int | None = None

    @property
    def parameters(self) -> SearchParameters:
        """For :func:`~mmsoco.proposals.search.folder.search_folder`."""
        return SearchParameters(k=self.k, min_size=self.min_size, max_side=self.max_side)

    @property
    def tiling(self) -> Tiling | None:
        """For the same."""
        return None if self.tile is None else Tiling(self.tile, OVERLAP)

    def count_tiles(self, size: tuple[int, int]) -> int:
        """Windows of an image of a (width, height); 1 where whole images are searched."""
        return 1 if self.tiling is None else len(self.tiling.windows(*size))

    def __str__(self) -> str:
        words = [f'--{key.replace("_", "-")} {value}' for key, value in asdict(self).items() if value is not None]
        return ' '.join(words)


def why_tiles(size: str, facts: Facts) -> str:
    """Why images are searched, and seen, in tiles; '' where they are not."""
    longer = facts.sides[1]
    if math.prod(facts.sides) > max_pixels():
        return f'images of {longer} px are too large to be read as a whole'
    if size == 'small' and longer >= TILE_FROM:
        return f'on whole images of {longer} px they would vanish'
    return ''


def search_for(size: str, facts: Facts) -> tuple[Search, Row]:
    """The search by the size of the objects, and of the images."""
    longer = facts.sides[1]
    k, min_size = SEGMENTS[size]
    most = MAX_SIDE[size]
    why = f'segments for {size} objects'
    if reason := why_tiles(size, facts):
        return Search(k, min_size, tile=TILE), Row('search', f'in tiles of {TILE} px', f'{why}; {reason}')
    if most is not None and longer > most:
        search = Search(k, min_size, max_side=most)
        return search, Row('search', str(search), f'{why}; copies of {most} px are several times as fast')
    search = Search(k, min_size)
    return search, Row('search', str(search), why)


def filter_for(size: str, shorter: int) -> ProposalFilter:
    """The filter by the size of the objects.

    Args:
        size: One of :data:`SIZES`.
        shorter: The images' (or tiles') shorter side in pixels.
    """
    low, high = SIZES[size]
    return ProposalFilter(size=(low, high), min_side=least_side(low, shorter))


def least_side(low: float, shorter: int) -> float:
    """Smallest side of a box: 0.6 of the smallest size's own, as boxes may be long; from 8 px to the paper's 32."""
    return float(min(max(round(0.6 * low * shorter), 8), 32))


def filter_words(rules: ProposalFilter) -> str:
    """As options of data_pipelines/filter_proposals.py."""
    return f'--size {rules.size[0]:g} {rules.size[1]:g} --min-side {rules.min_side:g}'


def filter_row(rules: ProposalFilter, size: str, asked: bool) -> Row:
    """A line for a filter that was chosen by a size."""
    why = f'--size {size}' if asked else f'for {size} objects, as nothing is said of them; --size or --objects choose'
    return Row('filter', filter_words(rules), why)


def view_for(recipe: Recipe, rules: ProposalFilter, asked: int | None = None) -> tuple[int, Row]:
    """Side of the views.

    Args:
        recipe: The one chosen.
        rules: The filter chosen.
        asked: What the user says.

    Raises:
        UserError: The strides of a network do not fit into it.
    """
    usual = VIEW['cpu' if recipe.name.endswith('cpu') else 'gpu']
    if asked is not None:
        if asked % 32:
            raise UserError(f'--view {asked} does not fit the strides of a network; give a multiple of 32')
        return asked, Row('views', f'{asked} and {asked // 2} px', '--view')
    middle = math.sqrt(rules.size[0] * rules.size[1]) or rules.size[1] / 2
    if middle * usual >= LEAST_IN_VIEW:
        return usual, Row(
            'views', f'{usual} and {usual // 2} px', f"the recipe's; boxes measure some {middle * usual:.0f} px"
        )
    side = 32 * round(1.5 * usual / 32)
    why = f'in {usual} px boxes would measure some {middle * usual:.0f} px; larger views take twice the time'
    return side, Row('views', f'{side} and {side // 2} px', why)


@dataclass(frozen=True)
class Network:
    """What is pretrained.

    Attributes:
        detector: One of :data:`DETECTORS`.
        backbone: One of ``BACKBONES``; None for the narrow one of the recipes for CPUs.
    """

    detector: str
    backbone: str | None

    @property
    def is_c4(self) -> bool:
        """Whether the head is the backbone's fifth block."""
        return self.detector == 'c4'

    @property
    def fitting(self) -> str | None:
        """Name of a config of a detector that takes all of it; None where there is none."""
        name = FITTING.get((self.detector, self.backbone))
        return name and f'{PREFIX}own/detectors/{name}.py'


def network_for(asked: Asked, machine: Machine) -> tuple[Network, Row]:
    """Backbone and head.

    Raises:
        UserError: They do not go together, or not with the weights to begin with.
    """
    backbone = asked.backbone
    if asked.detector == 'c4' and backbone not in (None, *RESNETS):
        raise UserError(
            f'--detector c4 takes a ResNet, whose fifth block is its head; give one of {", ".join(RESNETS)}'
        )
    if asked.detector in ONE_STAGE and backbone == 'vit-b':
        raise UserError(
            f"--detector {asked.detector} takes the maps from P3 on of an FPN, and vit-b's are made in another way; "
            'give mask-rcnn or faster-rcnn'
        )
    if backbone is None and machine.gpus:
        backbone, why = 'resnet50', "the recipe's, and what most detectors have"
    elif backbone is None and asked.detector == 'c4':
        backbone, why = 'resnet18', 'the smallest, as this is a CPU'
    elif backbone is None:
        if asked.init:
            raise UserError(
                "--init needs --backbone here: a CPU's recipe has a ResNet-18 of half the width, which no weights fit"
            )
        why = "the recipe's for a CPU; --backbone resnet18 is whole, loads into all tools, and is several times as slow"
        return Network(asked.detector, None), Row('network', f'{asked.detector}, ResNet-18 at half its width', why)
    else:
        why = '--backbone'
    parts = 'with its fifth block as head' if asked.detector == 'c4' else 'with FPN and box head'
    if asked.detector in ONE_STAGE:
        why += f'; the box head only trains, {asked.detector} has none'
    return Network(asked.detector, backbone), Row('network', f'{asked.detector}, {backbone} {parts}', why)


@dataclass(frozen=True)
class Export:
    """Weights for a tool.

    Attributes:
        tool: As tools/extract_backbone.py calls it; '' where there is none.
        file: Name of the file; '' where there is none.
        whom: Who loads it.
        what: What of the detector, or why nothing.
    """

    tool: str
    file: str
    whom: str
    what: str


def exports_for(network: Network) -> list[Export]:
    """Which tools take the weights, as which files, and which do not, and why."""
    if network.is_c4:
        exports = [Export('mmdet-c4', 'mmdet.pth', 'mmdet: Mask and Faster R-CNN C4', 'backbone, fifth block')]
    else:
        exports = [Export('mmdet', 'mmdet.pth', 'mmdet: Mask, Faster and Cascade R-CNN', 'backbone, FPN, box head')]
        one_stage = 'mmdet: RetinaNet, FCOS, ATSS'
        if network.backbone == 'vit-b':
            why = 'none: they take an FPN from P3 on, and a vit-b has maps that are made in another way'
            exports.append(Export('', '', one_stage, why))
        else:
            exports.append(Export('mmdet-p3', 'mmdet_one_stage.pth', one_stage, 'backbone, FPN from P3 on'))
    name = network.backbone
    if name is None:
        why = 'none: no model there has half the width of a ResNet-18; pretrain with --backbone resnet18'
        return [*exports, *(Export('', '', tool, why) for tool in ('torchvision', 'timm', 'detectron2'))]
    if name not in RESNETS:
        exports.append(Export('backbone', 'backbone.pth', 'mmdet, mmpretrain', f'the {name} alone'))
        why = f'none: only ResNets are renamed for it; the file of the {name} alone is a beginning'
        return [*exports, *(Export('', '', tool, why) for tool in ('torchvision', 'timm', 'detectron2'))]
    exports.append(Export('torchvision', 'torchvision.pth', f'torchvision: {name}', 'backbone'))
    if name == 'resnet50' and not network.is_c4:
        whom = 'torchvision: maskrcnn_resnet50_fpn_v2, fasterrcnn_resnet50_fpn_v2'
        exports.append(Export('torchvision-fpn', 'torchvision_fpn.pth', whom, 'backbone, FPN, box head'))
    exports.append(Export('timm', 'timm.pth', f'timm: {name}', 'backbone'))
    if network.is_c4 and name in ('resnet18', 'resnet34'):
        exports.append(
            Export('', '', 'detectron2', f'none: its C4 head is made of bottleneck blocks, which a {name} has not')
        )
    else:
        head = 'C4' if network.is_c4 else 'FPN'
        what = 'backbone, fifth block' if network.is_c4 else 'backbone, FPN, box head'
        exports.append(Export('detectron2', 'detectron2.pkl', f'detectron2: R-CNN with {head}', what))
    return exports


def steps_for(asked: Asked, recipe: Recipe, left: int, in_hours: int | None = None) -> tuple[int, Row]:
    """Optimizer steps.

    Args:
        asked: What the user says: hours, epochs or steps.
        recipe: The one chosen.
        left: Images, or tiles, to train on.
        in_hours: Steps that fit into the hours.

    Raises:
        UserError: No step fits.
    """
    epoch = left // recipe.batch
    if asked.steps is not None:
        steps, why = asked.steps, '--steps'
    elif asked.epochs is not None:
        steps, why = asked.epochs * epoch, f'{asked.epochs} epochs of {left} images'
    elif asked.hours is not None:
        if not in_hours or in_hours < 1:
            raise UserError(f'{asked.hours:g} hours are over before the first step; give more by --hours')
        steps, why = in_hours, f'what fits into {asked.hours:g} hours'
    else:
        steps = STEPS[recipe.name]
        why = f"the recipe's; each image is seen {steps * recipe.batch / left:.0f} times"
    if steps < STEPS[recipe.name] // 2:
        why += f'; the recipe has {STEPS[recipe.name]:,}, expect less'
    return steps, Row('steps', f'{steps:,} of {recipe.batch} images', why)


def interval_for(recipe: Recipe, steps: int) -> int:
    """Steps between two probes, and between two checkpoints: the recipe's, or a quarter of a short run."""
    usual = 100 if recipe.name.endswith('cpu') else 250
    return min(usual, -(-steps // 4))
