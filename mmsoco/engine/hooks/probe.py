"""Measuring a pretraining on held-out images while it runs."""

import json
from pathlib import Path

from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmengine.hooks import Hook

from mmsoco.engine.model import bare_model
from mmsoco.errors import UserError
from mmsoco.files import atomic_path, read_regular
from mmsoco.probe.data import first_view_size, labelled_boxes, labelled_images, matched_views, reading_of
from mmsoco.probe.features import BoxFeatures
from mmsoco.probe.measure import ProbeData, main_stage, measure, random_features
from mmsoco.probe.retrieval import standard_error
from mmsoco.registry import HOOKS
from mmsoco.renamed import renamed_arguments


@HOOKS.register_module()
class ProbeHook(Hook):
    """Find boxes of held-out images again in another view, every so many steps (docs/probe.md).

    The figures go to the log, beside those of random weights, to TensorBoard, to
    ``probe.json``, and as a curve to ``probe.png`` in the work folder. Where
    the last ``patience`` measurements brought nothing, the log says so.

    Args:
        interval: Optimizer steps between two measurements; the last step has one, too.
        images: Which images are held out: every n-th, or those that a list
            names. ``tools/train.py`` leaves them out of the training data.
        boxes: Boxes to tell apart.
        patience: Measurements without a gain after which to say so.
        labels, labelled_images: COCO annotations and the folder of their images,
            for accuracies of labelled boxes; see ``tools/probe.py``.
        classes: Folder of images with a subfolder for each class.

    Raises:
        UserError: The images are trained on, or not there.
    """

    # Before CheckpointHook: what is measured is what is saved.
    priority = 'LOW'

    @renamed_arguments(pictures='images', labelled_pictures='labelled_images')
    def __init__(
        self,
        interval: int,
        images: int | str,
        boxes: int = 2000,
        patience: int = 3,
        labels: str | None = None,
        labelled_images: str | None = None,
        classes: str | None = None,
    ):
        self.interval = interval
        self.images = images
        self.boxes = boxes
        self.patience = patience
        self.labels = labels
        self.labelled_images = labelled_images
        self.classes = classes
        #: One entry a measurement: its ``step``, and stage -> figure -> value as ``figures``.
        self.curve: list[dict] = []

    def before_train(self, runner) -> None:
        dataset = runner.cfg.train_dataloader.dataset
        if dataset.get('held_out') != self.images:
            raise UserError(
                f'ProbeHook holds out {self.images!r}, the data set {dataset.get("held_out")!r}; start by '
                'mmsoco train, which sets held_out of the data set, or set it'
            )
        self._prepare(runner)

    @master_only
    def _prepare(self, runner) -> None:
        dataset = runner.cfg.train_dataloader.dataset
        size = first_view_size(dataset)
        reading = reading_of(dataset.proposal_file)
        self.data = ProbeData(
            matched_views(
                dataset.proposal_file,
                dataset.get('data_root'),
                held_out=self.images,
                size=size,
                boxes=self.boxes,
                follow_links=dataset.get('follow_links', False),
            ),
            None if self.labels is None else labelled_boxes(self.labels, self.labelled_images, size, reading=reading),
            None if self.classes is None else labelled_images(self.classes, size, reading=reading),
        )
        device = next(runner.model.parameters()).device
        self.random = measure(random_features(runner.cfg.model, self.data, device), self.data)
        file = Path(runner.work_dir, 'probe.json')
        if runner.iter and file.exists():
            # Earlier versions said picture where the figures' names say image.
            curve = json.loads(read_regular(file).decode().replace('picture', 'image'))['curve']
            self.curve = [entry for entry in curve if entry['step'] <= runner.iter]

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
            self._measure(runner)

    @master_only
    def _measure(self, runner) -> None:
        model = bare_model(runner)
        device = next(model.parameters()).device
        figures = measure(BoxFeatures(model, device=device), self.data)
        model.train()
        step = runner.iter + 1
        self.curve.append({'step': step, 'figures': figures})
        asked = int(self.data.matched.distinct[self.data.matched.asks].sum())
        written = {'asked': asked, 'random': self.random, 'curve': self.curve}
        with atomic_path(Path(runner.work_dir, 'probe.json')) as temporary:
            temporary.write_text(json.dumps(written, indent=1) + '\n')
        draw_curve(self.curve, self.random, Path(runner.work_dir, 'probe.png'))
        runner.visualizer.add_scalars(
            {f'probe/{stage}_{name}': value for stage, row in figures.items() for name, value in row.items()},
            step=step,
        )
        stage = main_stage(figures)
        own, random = figures[stage], self.random[stage]
        runner.logger.info(
            f'Probe of held-out images: own box nearest of {len(self.data.matched.distinct.nonzero())} in '
            f'{own["top1"]:.1%} (random weights {random["top1"]:.1%}, chance {own["chance_top1"]:.2%}), among the '
            f'nearest five in {own["top5"]:.1%}, nearest of its image in {own["own_image"]:.0%} (random weights '
            f'{random["own_image"]:.0%}, chance {own["chance_own_image"]:.0%})'
        )
        self._judge(runner, [entry['figures'][stage]['top1'] for entry in self.curve], random['top1'], asked)

    def _judge(self, runner, values: list[float], random: float, asked: int) -> None:
        if not stopped_rising(values, asked, self.patience):
            return
        before = values[: -self.patience]
        best = max(range(len(before)), key=before.__getitem__)
        if before[best] <= random + standard_error(random, asked):
            words = 'The probe has not risen above random weights; see whether the run learns anything at all'
        else:
            words = (
                f'The probe has stopped rising: since step {self.curve[best]["step"]} ({before[best]:.1%}) more steps '
                'have not helped; with a decay of the learning rate it may rise again'
            )
        runner.logger.info(words)


def stopped_rising(values: list[float], asked: int, patience: int) -> bool:
    """Whether the last ``patience`` shares exceed the best before by no more than its standard error.

    Args:
        values: Shares, in the order of measurement.
        asked: How many boxes each is a share of.
    """
    if len(values) <= patience:
        return False
    best = max(values[:-patience])
    return max(values[-patience:]) <= best + standard_error(best, asked)


def draw_curve(curve: list[dict], random: dict[str, dict[str, float]], out: Path) -> None:
    """Draw how often boxes are found again, at each stage, over the steps; dashed, random weights."""
    names = {'top1': 'of all boxes', 'own_image': 'of the boxes of its image'}
    # Not by pyplot, which would choose the whole process' way of drawing.
    figure = Figure(figsize=(11, 3.5), layout='constrained')
    axes = figure.subplots(1, 2)
    steps = [entry['step'] for entry in curve]
    for axis, (name, words) in zip(axes, names.items(), strict=True):
        for number, stage in enumerate(curve[-1]['figures']):
            values = [100 * entry['figures'][stage][name] for entry in curve]
            axis.plot(steps, values, marker='.', color=f'C{number}', label=stage)
            axis.axhline(100 * random[stage][name], linestyle='--', linewidth=1, color=f'C{number}')
        axis.axhline(
            100 * curve[-1]['figures'][stage][f'chance_{name}'],
            linestyle=':',
            linewidth=1,
            color='grey',
            label='chance',
        )
        axis.set(xlabel='optimizer step', ylabel='%', title=f'Own box nearest {words}', ylim=(0, None))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title='dashed: random weights', loc='outside right upper')
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=100)
