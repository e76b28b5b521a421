"""What there is to decide by, beside the images: the machine and the user's wishes; and how a decision is told."""

from dataclasses import dataclass


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
