"""Loading a pretraining into a detector or a classifier, with nothing lost on the way."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmsoco.checkpoints.pretraining import transferable_weights
from mmsoco.checkpoints.transfer import plan_transfer, require_complete
from mmsoco.errors import UserError
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class TransferHook(Hook):
    """Make ``load_from`` of a pretraining checkpoint loud.

    mmengine only warns about tensors that are missing or of another shape. This
    hook prints a table of what is loaded and what stays new, and stops the run
    when something that should load does not, or when nothing is loaded at all.
    Checkpoints of the model itself, as ``--resume`` and testing load them,
    pass unchanged.

    It knows where mmdet's detectors have the pretrained parts: those that start
    at C3 (RetinaNet, FCOS) number their pyramid's convolutions from P3, C4 ones
    share the fifth block, a cascade has a box head for each stage. Of an
    image-level pretraining, one of mmpretrain, the backbone alone is taken.

    Args:
        new: Beginnings of parameter names of the detector that may stay new,
            besides those that no pretraining has, for instance
            ``['neck.pafpn_convs.']``.
        leave: Beginnings of parameter names of the pretraining that may be left
            behind, for instance ``['roi_head.bbox_head.']`` for a detector with
            another box head.

    Raises:
        UserError: The checkpoint is neither, or does not fit; there is none; or
            a pretraining is given where a trained model is tested.
    """

    def __init__(self, new: Sequence[str] = (), leave: Sequence[str] = ()):
        self.new = new
        self.leave = leave
        self._loaded = self._from_pretraining = False

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        state_dict = checkpoint.get('state_dict', checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        own = model.state_dict()
        self._loaded = True
        if set(state_dict) == set(own):
            return
        source = 'the checkpoint given as load_from'
        transfer = plan_transfer(transferable_weights(state_dict, source), own, self.new, self.leave)
        require_complete(transfer, source)
        runner.logger.info(f'Weights from the pretraining:\n{transfer.table()}')
        checkpoint['state_dict'] = transfer.loaded
        self._from_pretraining = True

    def before_train(self, runner) -> None:
        if not self._loaded:
            raise UserError(
                'no pretraining is given; add --cfg-options load_from=work_dirs/NAME/epoch_100.pth, or leave '
                'TransferHook out to train from random weights'
            )

    def after_train(self, runner) -> None:
        self._from_pretraining = False

    def before_test(self, runner) -> None:
        if self._from_pretraining:
            raise UserError('the checkpoint is a pretraining, the model is not trained yet; fine-tune it first')
