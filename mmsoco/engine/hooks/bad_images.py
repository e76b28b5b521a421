"""Listing the images that could not be read."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook

from mmsoco.datasets.bad_images import BadImage
from mmsoco.files import atomic_path, read_regular
from mmsoco.registry import HOOKS

FILE = 'bad_images.csv'


@HOOKS.register_module()
class BadImagesHook(Hook):
    """Write the images that were replaced, as they could not be read, to ``bad_images.csv`` in the work folder.

    One line an image: its name, the reason, and the epoch in which that was noticed
    first. The file is written at the end of an epoch, and when too many of them end
    the run. A resumed run goes on with the list that is there.
    """

    def __init__(self):
        self._known: dict[str, BadImage] = {}

    def before_train(self, runner) -> None:
        file = Path(runner.work_dir, FILE)
        if runner.iter and file.exists():
            self._known = {image.file_name: image for image in read_bad_images(file)}

    def after_train_epoch(self, runner) -> None:
        # All processes, each with its own workers.
        parts = all_gather_object(self._take(runner))
        self._write(runner, [image for part in parts for image in part])

    def before_stop(self, runner) -> None:
        """What :class:`~mmsoco.engine.hooks.InterruptionHook` calls, in all processes, in the middle of an epoch."""
        self.after_train_epoch(runner)

    def after_bad_data(self, runner) -> None:
        """What :class:`~mmsoco.engine.loops.PretrainLoop` calls where its loader gives up, in this process alone."""
        self._write(runner, self._take(runner), everywhere=True)

    def _take(self, runner) -> list[BadImage]:
        bad_images = getattr(runner.train_dataloader.dataset, 'bad_images', None)
        return [] if bad_images is None else bad_images.take()

    def _write(self, runner, found: Iterable[BadImage], everywhere: bool = False) -> None:
        before = len(self._known)
        for image in found:
            self._known.setdefault(image.file_name, image)
        if not self._known or not (everywhere or is_main_process()):
            return
        file, more = Path(runner.work_dir, FILE), len(self._known) - before
        if more:
            with atomic_path(file) as temporary, temporary.open('w', newline='', encoding='utf-8') as text:
                writer = csv.writer(text)
                writer.writerow(BadImage._fields)
                writer.writerows(sorted(self._known.values(), key=lambda image: (image.first_epoch, image.file_name)))
        runner.logger.warning(
            f'Images that could not be read and were replaced: {more} more in epoch {runner.epoch + 1}, '
            f'{len(self._known)} in all, listed in {file}'
        )


def read_bad_images(file: Path) -> list[BadImage]:
    """The lines of a list; those that are broken are left out."""
    text = io.StringIO(read_regular(file).decode(errors='replace'), newline='')
    lines = [line for line in csv.reader(text) if len(line) == 3 and line[2].isdecimal()]
    return [BadImage(name, reason, int(epoch)) for name, reason, epoch in lines]
