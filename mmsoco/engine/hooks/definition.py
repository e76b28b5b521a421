"""What a run is defined by, in its checkpoints."""

from mmengine.hooks import Hook

from mmsoco.engine.definition import KEY
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class DefinitionHook(Hook):
    """Write into checkpoints what a run that resumes from them has to have in common with this one.

    Args:
        settings: See :func:`mmsoco.engine.definition.define`.
    """

    def __init__(self, settings: dict):
        self.settings = settings

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['meta'][KEY] = self.settings
