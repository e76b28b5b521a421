"""What a comparison trains: its settings, and its runs in their order."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mmsoco.compare.own_data import OwnData
from mmsoco.errors import UserError
from mmsoco.options import Options

#: The arm that begins from random weights.
SCRATCH = 'scratch'


class Init(NamedTuple):
    """What the weights of an arm begin as.

    Attributes:
        name: Of the arm.
        file: Of weights; None for random ones.
    """

    name: str
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> 'Init':
        """Read ``scratch`` or ``NAME=FILE``.

        Raises:
            UserError: It is neither.
        """
        name, sign, file = text.partition('=')
        if (sign and file and name != SCRATCH and re.fullmatch(r'[\w.+-]+', name)) or text == SCRATCH:
            return cls(name, file or None)
        raise UserError(f'--init {text} is neither scratch nor NAME=FILE; write for instance soco=epoch_100.pth')


class Run(NamedTuple):
    """A training: of which arm, on how much of the labels, how long, with which seed."""

    init: str
    fraction: float
    schedule: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f'{self.init}_{self.fraction:g}_{self.schedule:g}x_seed{self.seed}'


@dataclass(frozen=True)
class Comparison:
    """The settings of a comparison.

    Attributes:
        config: Path of the detector's config.
        inits: The arms.
        out: Folder of all that it writes.
        fractions: Of the training images, each in (0, 1], from small to large.
        seeds: How many, from 0 on.
        schedules: How many times as long as the config says.
        baseline: The arm that others are compared with.
        evaluations: Of a run, evenly over its steps, the last one at its end.
        fit: Whether the detector gets the norms that a pretraining has, in every arm.
        options: ``--cfg-options`` of all arms.
        only: Arm -> options of it alone.
        amp: See :func:`~mmsoco.engine.launch.train`.
        auto_scale_lr: See there.
        processes: Of each run.
        own: Data in the place of the config's.
        report: Name of the files that say what came of it.
    """

    config: str
    inits: tuple[Init, ...]
    out: Path
    fractions: tuple[float, ...] = (1.0,)
    seeds: int = 3
    schedules: tuple[float, ...] = (1.0,)
    baseline: str = ''
    evaluations: int = 4
    fit: bool = False
    options: Options = field(default_factory=Options)
    only: Mapping[str, Options] = field(default_factory=dict)
    amp: bool | str | None = None
    auto_scale_lr: bool = False
    processes: int = 1
    own: OwnData | None = None
    report: str = 'results'

    def __post_init__(self):
        names = [init.name for init in self.inits]
        if len(names) < 2 or len(set(names)) < len(names):
            raise UserError('a comparison is of two or more --init with different names, such as scratch and soco=FILE')
        if not self.baseline:
            object.__setattr__(self, 'baseline', SCRATCH if SCRATCH in names else names[0])
        for name in (self.baseline, *self.only):
            if name not in names:
                raise UserError(f'there is no --init {name}; there are {", ".join(names)}')
        for init in self.inits:
            if init.file is not None and not Path(init.file).is_file():
                raise UserError(f'--init {init.name}={init.file}: there is no such file')
        for fraction in self.fractions:
            if not 0 < fraction <= 1:
                raise UserError(f'--fractions {fraction:g} is no part of a whole; give numbers above 0 and up to 1')
        for times in self.schedules:
            if not 0 < times < math.inf:
                raise UserError(f'--schedules {times:g}x is no length; give 1x, 3x and the like')
        for key in (key for options in self.only.values() for key in options):
            part = key.partition('.')[0]
            if part in ('train_cfg', 'val_cfg', 'val_evaluator') or part.endswith('_dataloader'):
                raise UserError(f'--only {key}: data, length and evaluation are those of all arms; use --cfg-options')
        if not re.fullmatch(r'[\w+-][\w.+-]*', self.report):
            raise UserError(f'--report {self.report} is no name of a file; write for instance --report long')
        for name in ('fractions', 'schedules'):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        object.__setattr__(self, 'out', Path(self.out).absolute())

    def runs(self) -> list[Run]:
        """All trainings, so that the table grows evenly: one seed of a whole schedule after another."""
        return [
            Run(init.name, fraction, schedule, seed)
            for schedule in self.schedules
            for seed in range(self.seeds)
            for fraction in self.fractions
            for init in self.inits
        ]

    def folder(self, run: Run) -> Path:
        """Where a run's files are."""
        return self.out / 'runs' / run.name

    def labels(self, fraction: float, seed: int, part: int = 0) -> Path:
        """Where the labels of a fraction are, of a data set's part where it has several."""
        return self.out / 'labels' / f'seed{seed}_{fraction:g}{f"_part{part}" if part else ""}.json'

    def init(self, name: str) -> Init:
        """The arm of a name."""
        return next(init for init in self.inits if init.name == name)

    def save(self) -> str:
        """As JSON, for another process."""
        plain: dict[str, Any] = asdict(self) | {'out': str(self.out)}
        plain['options'] = [dict(self.options), self.options.typed]
        plain['only'] = {name: [dict(options), options.typed] for name, options in self.only.items()}
        return json.dumps(plain)

    @classmethod
    def load(cls, text: str) -> 'Comparison':
        """What :meth:`save` gave."""
        plain = json.loads(text)
        plain['inits'] = tuple(Init(*init) for init in plain['inits'])
        plain['options'] = Options(plain['options'][0], typed=plain['options'][1])
        plain['only'] = {name: Options(values, typed=typed) for name, (values, typed) in plain['only'].items()}
        own = plain['own']
        plain['own'] = own and OwnData(*(tuple(one) if isinstance(one, list) else one for one in own))
        return cls(**plain)


def shard(runs: Sequence[Run], number: int, count: int) -> list[Run]:
    """Every ``count``-th run, from ``number`` on: parts that are disjoint, and together all.

    Raises:
        UserError: There is no such part.
    """
    if not 0 <= number < count:
        raise UserError(f'there is no shard {number}/{count}; shards count from 0/{count} to {count - 1}/{count}')
    return list(runs[number::count])
