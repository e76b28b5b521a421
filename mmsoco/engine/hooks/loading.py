"""What a run began from, in its checkpoints."""

from mmengine.hooks import Hook

from mmsoco.checkpoints.guard import guard_loading, local_path
from mmsoco.checkpoints.pretraining import INIT, Origin
from mmsoco.checkpoints.recognition import Weights
from mmsoco.checkpoints.transfer import Transfer, beginnings
from mmsoco.engine.model import bare_model
from mmsoco.files import sha256_of
from mmsoco.resources import named


class LoadingHook(Hook):
    """A hook that fills a model by ``load_from``, and writes into all checkpoints from what.

    Under ``meta['init']``: ``file``, its name, or where it was fetched from; ``sha256`` of its bytes, where it is
    a file; ``kind``, what it was recognised as; ``loaded``, what the names begin with that it filled; ``init``, what
    it began from itself, if it says so. From its making on, weights are read by the rules of
    :func:`~mmsoco.checkpoints.guard.guard_loading`. A run that resumes has it from its checkpoint.
    """

    # Before hooks that copy what is loaded, such as a moving average.
    priority = 'VERY_HIGH'

    def __init__(self):
        self.began: dict | None = None
        guard_loading()  # for runs that other tools start

    def note_beginning(self, runner, checkpoint: dict, weights: Weights, transfer: Transfer) -> None:
        """Say what the model is filled from, and remember it."""
        path = local_path(runner._load_from)
        digest = sha256_of(path) if path is not None and path.is_file() else None
        own = bare_model(runner).state_dict()
        filled = beginnings([name for name in own if name in transfer.loaded], own)
        meta = checkpoint.get('meta')
        before = meta.get(INIT) if isinstance(meta, dict) else None
        self.began = {
            'file': str(runner._load_from) if path is None else path.name,
            'sha256': digest,
            'kind': weights.kind,
            'loaded': filled,
            **({INIT: before} if before else {}),
        }
        for note in weights.notes:
            runner.logger.info(f'{runner._load_from}: {note}')
        assumed = ''
        if not weights.origin.said:
            images = "ImageNet's, RGB" if weights.origin == Origin() else "caffe's, BGR"
            assumed = (
                f'; it does not say what images it saw: taken for {images}; if it saw others, such as some of '
                f"timm's models, set mean and std of model.data_preprocessor ({named('docs/warm_start.md')})"
            )
        known = '' if digest is None else f' (SHA-256 {digest})'
        runner.logger.info(f'Begins from {self.began["file"]}{known}, {weights.kind}{assumed}')

    def go_on(self, checkpoint: dict) -> None:
        """Remember what the run that is resumed began from."""
        self.began = checkpoint.get('meta', {}).get(INIT)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self.began is not None:
            checkpoint['meta'][INIT] = self.began
