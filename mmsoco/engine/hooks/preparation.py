"""Where preparing a run ends: what is wrong by then is the config's fault, and refused."""

from collections.abc import Mapping

from mmengine.hooks import Hook
from torch import Tensor

from mmsoco.engine.model import bare_model
from mmsoco.errors import UserError, preparation_over


class PreparationHook(Hook):
    """Refuse runs without a step, and checkpoints of other models; after the first step preparing is over.

    :func:`mmsoco.engine.launch.build_runner` adds it to every run.

    Args:
        whole: Whether the checkpoint that is loaded has to hold all of the model.
    """

    # After all others: what they cannot do shows in the first step, too.
    priority = 'LOWEST'

    def __init__(self, whole: bool):
        self.whole = whole
        self._misfit: UserError | None = None

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not self.whole:
            return
        try:
            require_fit(bare_model(runner), checkpoint.get('state_dict', checkpoint), runner._load_from)
        except UserError as error:
            # A run loads its optimizer next, which says it worse; before a test, TransferHook may say it better.
            if runner._resume:
                raise
            self._misfit = error

    def before_train(self, runner) -> None:
        _require_batches(runner.train_dataloader, 'train_dataloader')
        if runner.val_loop is not None:
            _require_batches(runner.val_dataloader, 'val_dataloader')
        if runner.max_iters < 1:
            raise UserError('train_cfg asks for no step; set max_epochs or max_iters to 1 or more')
        for hook in runner.hooks:
            interval = getattr(hook, 'interval', 1)
            if isinstance(interval, str) or interval == 0:
                raise UserError(f'interval {interval!r} of {type(hook).__name__} is not a number of 1 or more; set one')

    def before_test(self, runner) -> None:
        if self._misfit is not None:
            raise self._misfit
        _require_batches(runner.test_dataloader, 'test_dataloader')

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        preparation_over()

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        preparation_over()


def _require_batches(loader: object, name: str) -> None:
    try:
        batches = len(loader)
    except TypeError:  # of a stream
        return
    if batches == 0:
        raise UserError(
            f'{name} gives no batch: {len(loader.dataset)} samples; use more of them, a smaller batch_size, or '
            'drop_last=False'
        )


def require_fit(model, weights: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that do not hold all tensors of a model in their shapes; mmengine would leave them random.

    Args:
        model: It takes the weights.
        weights: Its state, as saved.
        source: What they are called in messages.

    Raises:
        UserError: With the first tensor that is not there.
    """
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    of_model = model.state_dict()
    try:
        # By the model itself, which may know former names.
        missing = model.load_state_dict(weights, strict=False).missing_keys
        words = 'is not there'
    except (RuntimeError, AttributeError):
        shapes = {name: getattr(value, 'shape', None) for name, value in weights.items()}
        missing = [name for name, value in of_model.items() if shapes.get(name) != value.shape]
        words = 'is not there or has another shape'
    if missing:
        raise UserError(
            f'{source} is not of this model: {len(missing)} of its {len(of_model)} tensors are not in it, first '
            f'{missing[0]}, which {words}; give the checkpoint and the config of one run'
        )
