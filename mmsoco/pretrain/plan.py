"""A pretraining as it was decided: its files, and its steps as commands."""

import json
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmsoco.errors import UserError, reason
from mmsoco.files import atomic_path, read_regular
from mmsoco.pace import Pace
from mmsoco.pretrain.asked import Asked, Row
from mmsoco.pretrain.exports import exports_for
from mmsoco.pretrain.inspection import Facts
from mmsoco.pretrain.networks import Network
from mmsoco.pretrain.objects import Trial
from mmsoco.pretrain.proposals import SIZES, Search, filter_for, filter_words
from mmsoco.pretrain.recipes import Recipe, Samples, interval_for
from mmsoco.proposals.filters import ProposalFilter
from mmsoco.resources import named
from mmsoco.steps import Step, duration, in_words

#: The files beside what the steps leave.
PLAN, CONFIG, LIST, LINES = 'plan.json', 'config.py', 'images.txt', 'mmdet_lines.py'
#: What the comment begins with on top of those that could be somebody else's.
OURS = 'mmsoco pretrain'
#: Pairs of numbers among the facts, which JSON has as lists.
_SIDES = ('sides', 'smallest', 'largest')


@dataclass(frozen=True)
class Plan:
    """All that was decided.

    Attributes:
        images: What the user gave: a folder or an archive.
        asked: What the user asked for.
        facts: Of the images.
        samples: What they are to search and to train on.
        recipe, network, search, rules, view, steps: What was chosen; ``rules`` is the filter.
        pace: Of the training, measured.
        search_seconds: What the search will take.
        rows: The table: what, and why.
        trials: Of searches and filters on labelled objects, best first.
    """

    images: str
    asked: Asked
    facts: Facts
    samples: Samples
    recipe: Recipe
    network: Network
    search: Search
    rules: ProposalFilter
    view: int
    steps: int
    pace: Pace
    search_seconds: float
    rows: list[Row] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)

    @property
    def train_seconds(self) -> float:
        """What the training will take."""
        return self.pace.seconds(self.steps, interval_for(self.recipe, self.steps))

    def checkpoint(self, out: Path) -> Path:
        """What the training leaves."""
        return out / f'train/iter_{self.steps}.pth'

    def write(self, out: Path) -> None:
        """Write ``plan.json``."""
        with atomic_path(out / PLAN) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + '\n', 'utf-8')

    @classmethod
    def read(cls, out: Path) -> 'Plan | None':
        """The plan in a folder; None where there is none.

        Raises:
            UserError: It cannot be read.
        """
        if not (out / PLAN).exists():
            return None
        try:
            found = json.loads(read_regular(out / PLAN))
            search = Search(**found['search'])
            trials = [
                Trial(**{**trial, 'search': Search(**trial['search']), 'rules': _filter(trial['rules'])})
                for trial in found['trials']
            ]
            parts = dict(
                asked=Asked(**found['asked']),
                facts=Facts(**found['facts'] | {key: tuple(found['facts'][key]) for key in _SIDES}),
                samples=Samples(**found['samples']),
                recipe=Recipe(**found['recipe']),
                network=Network(**found['network']),
                search=search,
                rules=_filter(found['rules']),
                pace=Pace(**found['pace']),
                rows=[Row(**row) for row in found['rows']],
                trials=trials,
            )
            return cls(**{**found, **parts})
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise UserError(
                f'{out / PLAN} cannot be read ({reason(error)}): it is damaged, or of another version of mmsoco; take '
                f'that one, or name another folder by --out, and begin from what {out / "train"} has by --init'
            ) from None


def _filter(found: dict) -> ProposalFilter:
    return ProposalFilter(**{**found, 'size': tuple(found['size'])})


def steps_of(plan: Plan, out: Path) -> list[Step]:
    """The steps of a pretraining, each of tools that can be run by hand.

    Args:
        plan: What was decided.
        out: Folder for all files.
    """
    q = shlex.quote
    folder, images = q(str(out)), q(plan.images)
    checkpoint = plan.checkpoint(out)
    # Of those that could be read when they were looked at: images of a tenth, all of their tiles.
    failures = max(10, plan.samples.images // 10) * -(-plan.samples.total // plan.samples.images)
    search = f'data_pipelines/selective_search.py {images} {folder}/raw {plan.search} --list {folder}/{LIST}'
    search += f' --retry --max-failures {failures}'
    filters = f'data_pipelines/filter_proposals.py {folder}/raw {folder}'
    keep = f'{filters}/proposals.arrow {filter_words(plan.rules)}'
    options = f'--work-dir {folder}/train --resume --progress'
    options += f' --init {q(plan.asked.init)}' if plan.asked.init else ''
    options += f' --accumulate {plan.recipe.accumulate}' if plan.recipe.accumulate > 1 else ''
    options += f' --device {plan.asked.device}' if plan.asked.device else ''
    if plan.recipe.processes > 1:
        train = f'tools/dist_train.sh {folder}/{CONFIG} {plan.recipe.processes} {options}'
    else:
        train = f'tools/train.py {folder}/{CONFIG} {options}'
    exports = [export for export in exports_for(plan.network) if export.tool]
    extract = f'tools/extract_backbone.py {q(str(checkpoint))} {folder}/weights'
    # The last one, as they are made in this order.
    weights = out / 'weights' / exports[-1].file
    # Each by what it leaves; what has served may be deleted.
    export = Step(
        'export the weights',
        '',
        tuple(f'{extract}/{export.file} --tool {export.tool}' for export in exports),
        weights,
    )
    training = Step('pretrain', _about(plan.train_seconds), (train,), checkpoint, serves=export)
    # Not one of a training under way, which its user may have looked at.
    report = Step('write the report', '', (f'tools/report.py {folder}',), out / 'report.html', source=weights)
    drawings = tuple(_drawings(plan, out, filters))
    return [
        Step('search for boxes', _about(plan.search_seconds), (search, keep), out / 'proposals.arrow', serves=training),
        Step('draw them', '', drawings, out / 'proposals/distributions.json', serves=report),
        training,
        export,
        report,
    ]


def _about(seconds: float) -> str:
    return f'about {duration(seconds)}'


def _drawings(plan: Plan, out: Path, filters: str) -> list[str]:
    """Commands: boxes before and after the filter; with labels how many objects they cover, else other filters."""
    folder = shlex.quote(str(out))
    draw = f'tools/visualize/proposals.py {folder}'
    before_after = f'{draw}/proposals {folder}/raw {folder}/proposals.arrow --count 8'
    if plan.asked.objects:
        labels = shlex.quote(plan.asked.objects)
        return [f'tools/proposal_recall.py {folder}/proposals.arrow {labels} --json {folder}/recall.json', before_after]
    shorter = plan.search.tile or plan.facts.sides[0]
    ways = [f'{filters}/sizes/{size}.arrow {filter_words(filter_for(size, shorter))}' for size in SIZES]
    each = ' '.join(f'{folder}/sizes/{size}.arrow' for size in SIZES)
    return [*ways, f'{draw}/sizes {each} --count 8', before_after]


def compare_line(plan: Plan, out: Path) -> str | None:
    """A command that says whether it helps, with places for the user's data; None where no config fits."""
    config = plan.network.fitting
    soco = shlex.quote(str(plan.checkpoint(out)))
    data = '--train TRAIN.json IMAGES --val VAL.json IMAGES'
    return config and in_words(f'tools/compare.py {config} {data} --init scratch --init soco={soco}')


def mmdet_lines(plan: Plan, out: Path) -> str:
    """The lines for the user's mmdet config, as a file."""
    network = plan.network
    where = named('docs/transfer.md')
    norms = f'# FPN and box head need norms, and all norms train: {where} shows where.'
    if network.is_c4:
        norms = f'# The backbone and its shared block need style="pytorch", and all norms train: {where}.'
    width = ''
    if network.backbone is None:
        width = (
            '# This pretraining is narrow, so the detector has to be: model.backbone depth=18, base_channels=32,\n'
            '# stem_channels=32; model.neck in_channels=[32, 64, 128, 256], out_channels=64; its heads take 64\n'
            '# channels, and the box head has conv_out_channels=64, fc_out_channels=256.\n'
        )
    begin = f"# Or begin with one that fits: _base_ = '{network.fitting}'\n" if network.fitting else ''
    return (
        f'# {OURS}: add this to your mmdet config.\n{norms}\n{width}{begin}'
        f'load_from = {str(plan.checkpoint(out).resolve())!r}\n'
        "custom_hooks = [dict(type='mmsoco.TransferHook')]\n"
    )
