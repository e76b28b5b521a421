"""What a page tells."""

from dataclasses import dataclass, field

from mmsoco.pretrain.exports import Export


@dataclass
class Picture:
    """An image of the page: its address, and what it shows, for those who do not see it."""

    address: str
    words: str
    caption: str = ''


@dataclass
class Content:
    """All that a page tells; what there is nothing of is empty.

    Attributes:
        folder: Of the pretraining.
        title: What was pretrained.
        images: On what.
        key: Figure -> what it is, the few that say most.
        data, learning, probe, versions: Rows of tables.
        compared: What the probe's figures stand beside.
        compared_words: What to make of that.
        failures: (name, why) of images that cannot be read.
        failed: How many.
        choices: What was chosen, and why.
        trials: Of searches and filters on labelled objects.
        boxes: Images with the boxes that training sees.
        sizes: What other filters would keep: name -> images.
        sizes_chosen: Which of these was taken.
        distributions, curves: SVG and what it says.
        recall: How many labelled objects the boxes cover.
        views: What the network saw.
        says: What the run said of itself.
        exports: Tool, file, what, and whether it is there.
        lines: For the user's mmdet config.
        compare: The command that says whether it helps; None where no config fits.
        commands: In order.
        times: Step, how long it took, and what was expected.
    """

    folder: str
    title: str
    images: str = ''
    key: list[tuple[str, str]] = field(default_factory=list)
    data: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    failed: int = 0
    choices: list = field(default_factory=list)
    trials: list = field(default_factory=list)
    boxes: list[Picture] = field(default_factory=list)
    sizes: dict[str, list[Picture]] = field(default_factory=dict)
    sizes_chosen: str = ''
    distributions: list[tuple[str, str]] = field(default_factory=list)
    recall: str = ''
    views: Picture | None = None
    curves: list[tuple[str, str]] = field(default_factory=list)
    learning: list[tuple[str, str, str, str]] = field(default_factory=list)
    probe: list[tuple[str, str, str, str]] = field(default_factory=list)
    compared: str = ''
    compared_words: str = ''
    says: list[str] = field(default_factory=list)
    exports: list[tuple[Export, str]] = field(default_factory=list)
    lines: str = ''
    compare: str | None = None
    commands: list[str] = field(default_factory=list)
    times: list[tuple[str, str, str]] = field(default_factory=list)
    versions: list[tuple[str, str]] = field(default_factory=list)
